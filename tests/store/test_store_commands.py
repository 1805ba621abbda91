"""`b12-cds store …` as a person calls it: exact answers, one line for what cannot be done, and never a password."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from cds_service.store.pseudonyms import Key, Keys, KeysUnusable, read_keys
from tests.hooks.processes import one_line, run
from tests.store.databases import AT, KEYS, WHO, accepted, count, decision, keep, overridden, sqlite_url, store_at
from tests.store.postgres import PASSWORD

HOOK_INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"


@pytest.fixture
def filled(url):
    with store_at(url) as store:
        keep(store, decision(hook_instance=HOOK_INSTANCE), decision("card-2", hook_instance="another"))
        given = [overridden(reason="patient-refused"), accepted("card-1", "card-1-fbc", at=AT + 2)]
        store.save_feedback("main", given, AT + 5)
        store.save_feedback("other", [overridden(reason="not-theirs")], AT + 6)
    return url


def test_a_new_key_is_a_line_for_the_key_file(tmp_path):
    file = tmp_path / "store.keys"
    first, second = run("store", "new-key").stdout, run("store", "new-key", "--id", "2026-b").stdout
    file.write_text(f"# newest first\n{second}\n{first}")
    keys = read_keys(file)
    assert keys.newest.id == "2026-b"
    assert all(len(key.secret) == 32 for key in keys.all)
    assert keys.all[0].secret != keys.all[1].secret
    one_line(run("store", "new-key", "--id", "a b"), "key id: allowed: 1 to 32")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the key file holds no key"),
        ("# only a comment\n", "the key file holds no key"),
        ("a " + "A" * 42, "line 1 of the key file is no key"),
        ("a " + "A" * 43 + "\nb", "line 2 of the key file is no key"),
        ("a " + "A!" * 43, "line 1 of the key file is no key"),
        ("a b " + "A" * 43, "line 1 of the key file is no key"),
        ("a " + "A" * 43 + "\na " + "B" * 43, "line 2 of the key file repeats a key id"),
        ("é " + "A" * 43, "the key file cannot be read: it is not plain text"),
        ("a " + "A" * 100_000, "the key file is too large"),
    ],
)
def test_a_key_file_with_a_fault_is_refused_and_the_key_is_not_told(tmp_path, text, says):
    file = tmp_path / "store.keys"
    file.write_text(text)
    with pytest.raises(KeysUnusable) as raised:
        read_keys(file)
    assert str(raised.value).startswith(says)
    assert "AAAA" not in str(raised.value)


def test_a_key_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(KeysUnusable, match="No such file"):
        read_keys(tmp_path / "none")


def test_a_key_may_be_longer_and_padded(tmp_path):
    file = tmp_path / "store.keys"
    file.write_text("a " + "A" * 43 + "=\r\nb " + "_-" * 40 + "\n")
    assert [(key.id, len(key.secret)) for key in read_keys(file).all] == [("a", 32), ("b", 60)]
    assert Keys((Key("a", b"0" * 32),)).find("b") is None


def test_show_tells_everything_about_a_call_and_nothing_of_a_person(filled):
    done = run("store", "show", HOOK_INSTANCE, "--json", CDS_STORE_URL=filled)
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["at"], told["client"], told["label"]) == ("2026-01-15T12:00:00.000+00:00", "main", "confirmed")
    assert told["patient"] == KEYS.newest.patient(WHO)
    (card,) = told["cards"]
    assert card["rows"] == ["interpret/deficient", "treat/routine"]
    assert [each["draft"] for each in card["suggestions"]] == ["fbc", "neuro"]
    assert [(each["outcome"], each["reason"], each["accepted"]) for each in card["feedback"]] == [
        ("overridden", "patient-refused", []),
        ("accepted", "", ["card-1-fbc"]),
    ]
    assert told["suppressed"] == [{"what": "test:folate", "why": "accepted", "on": "2026-01-10"}]
    assert "in-clear" not in done.stdout
    text = run("store", "show", HOOK_INSTANCE, CDS_STORE_URL=filled).stdout
    for said in ("card card-1 (warning): interpret/deficient, treat/routine", "suggestion card-1-fbc: test fbc",
                 "feedback overridden at 2026-01-15T12:00:00.001+00:00", "reason patient-refused",
                 "suppressed test:folate: accepted on 2026-01-10", "row interpret/deficient"):  # fmt: skip
        assert said in text


def test_show_of_an_unknown_call_is_one_line(filled):
    one_line(run("store", "show", "none", CDS_STORE_URL=filled), "nothing is stored about a call of that hookInstance")


@pytest.mark.parametrize(("sent", "asked"), [(str.upper, str.lower), (str.lower, str.upper), (str.title, str.title)])
def test_show_finds_a_call_however_its_hook_instance_is_written(url, sent, asked):
    with store_at(url) as store:
        keep(store, decision(hook_instance=sent(HOOK_INSTANCE)))
    done = run("store", "show", asked(HOOK_INSTANCE), "--json", CDS_STORE_URL=url)
    assert [each["hook_instance"] for each in json.loads(done.stdout)] == [sent(HOOK_INSTANCE)]


def test_show_tells_every_call_once_and_the_oldest_first(url):
    with store_at(url) as store:
        keep(store, decision(hook_instance=HOOK_INSTANCE.upper(), at=AT - 5), decision(hook_instance=HOOK_INSTANCE))
    for written in (HOOK_INSTANCE, HOOK_INSTANCE.upper()):
        told = json.loads(run("store", "show", written, "--json", CDS_STORE_URL=url).stdout)
        assert [each["hook_instance"] for each in told] == [HOOK_INSTANCE.upper(), HOOK_INSTANCE]


def test_a_day_in_the_future_deletes_nothing(filled):
    today = datetime.now(UTC).date()
    for day in (today + timedelta(days=1), "2099-01-01"):
        for more in ([], ["--dry-run"]):
            done = run("store", "purge", "--before", str(day), *more, CDS_STORE_URL=filled)
            one_line(done, "--before is in the future; allowed: today or earlier (UTC)")
    assert count(filled, "decision") == 2
    assert run("store", "purge", "--before", str(today), CDS_STORE_URL=filled).returncode == 0


def test_purge_counts_and_deletes(filled):
    asked = ("store", "purge", "--before", "2026-01-16")
    done = run(*asked, "--dry-run", CDS_STORE_URL=filled)
    assert done.stdout == "Would be deleted: 2 decisions, 3 feedback from before 2026-01-16.\n"
    assert count(filled, "decision") == 2
    assert run(*asked[:3], "2026-01-15", CDS_STORE_URL=filled).stdout.startswith("Deleted: 0 decisions, 0 feedback")
    done = run(*asked, CDS_STORE_URL=filled)
    assert done.stdout == "Deleted: 2 decisions, 3 feedback from before 2026-01-16.\n", done.stderr
    assert count(filled, "decision") == count(filled, "feedback") == 0


def test_status_says_which_keys_are_needed(filled, tmp_path):
    file = tmp_path / "store.keys"
    file.write_text("newest " + "A" * 43 + "\nold " + "B" * 43 + "\n")
    told = run("store", "status", CDS_STORE_URL=filled, CDS_STORE_KEYS=str(file)).stdout
    assert "its tables fit this version" in told
    assert "Decisions: 2, 2026-01-15 to 2026-01-15" in told
    assert "Key first: 2 decisions, NOT in the key file" in told
    assert "Key newest: not used yet" in told
    assert "Key old: not used any more, its line can go" in told


def test_upgrade_makes_the_tables(empty):
    one = run("store", "upgrade", CDS_STORE_URL=empty)
    assert one.stdout == "Version of the tables: 0002, before: none\n", one.stderr
    assert run("store", "upgrade", CDS_STORE_URL=empty).stdout == "Version of the tables: 0002, before: 0002\n"
    assert count(empty, "decision") == 0


@pytest.mark.parametrize("command", [("show", "x"), ("status",), ("purge", "--before", "2026-01-01")])
def test_without_tables_a_command_ends_with_one_line(empty, command):
    says = (
        "there is no store yet" if empty.startswith("sqlite") else "it has no tables yet: run `b12-cds store upgrade`"
    )
    one_line(run("store", *command, CDS_STORE_URL=empty), says)


@pytest.mark.parametrize("command", [("show", "x"), ("status",), ("purge", "--before", "2026-01-01"), ("upgrade",)])
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("none", "CDS_STORE_URL is none: nothing is stored"),
        ("mysql://b12:hunter2@127.0.0.1/x", "CDS_STORE_URL: allowed: sqlite:///FILE, postgresql://"),
        ("hunter2", "CDS_STORE_URL: allowed: sqlite:///FILE, postgresql://"),
        ("sqlite://", "CDS_STORE_URL: SQLite needs a file"),
        ("postgresql://b12:hunter2@127.0.0.1:1/x", "CDS_STORE_URL: the database cannot be reached"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line_without_its_password(command, url, says):
    done = run("store", *command, CDS_STORE_URL=url)
    one_line(done, says)
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.needs("postgresql")
def test_a_wrong_password_is_not_repeated(postgres):
    url = postgres.dsn("postgres").replace(PASSWORD, "hunter2-wrong")
    done = run("store", "status", CDS_STORE_URL=url)
    one_line(done, "CDS_STORE_URL: the database does not let us in: user or password")
    assert "hunter2" not in done.stdout + done.stderr


def test_a_file_in_the_working_directory_is_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("store", "upgrade").returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["b12-cds.sqlite"]
    assert count(sqlite_url(tmp_path).replace("store.sqlite", "b12-cds.sqlite"), "decision") == 0
