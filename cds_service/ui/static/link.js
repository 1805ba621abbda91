/* A link to the patient that was entered, behind the # of the address: made only when somebody asks for it. */
import { copied } from "./copy.js";

const MARK = "#p=";
const LEFT_OUT = new Set(["mine", "visit", "vary"]);
const PLAIN = /^[0-9.,<>=]{0,20}$/;

export function link() {
  const form = document.querySelector("form.mine");
  if (!form) return;
  const button = form.querySelector("[data-link]");
  const blank = form.querySelector("[data-blank]");
  button.hidden = blank.hidden = false;
  button.addEventListener("click", () => {
    const url = new URL(location.href);
    url.search = "";
    url.hash = MARK + stateOf(form);
    history.replaceState(null, "", url);
    copied(url.href, button);
  });
  blank.addEventListener("click", (event) => {
    event.preventDefault();
    location.assign("/");
  });
  if (location.hash.startsWith(MARK)) {
    fill(form, new URLSearchParams(location.hash.slice(MARK.length)));
    form.dispatchEvent(new Event("change", { bubbles: true }));
    form.elements.sex.dispatchEvent(new Event("change", { bubbles: true }));
  }
}

/* What differs from the blank form. */
function stateOf(form) {
  const state = new URLSearchParams();
  for (const field of form.elements) {
    if (!field.name || LEFT_OUT.has(field.name) || !field.value) continue;
    if (field.type === "checkbox" && !field.checked) continue;
    const chip = field.name.startsWith("since-") ? form.elements[`has-${field.name.slice(6)}`] : null;
    if (chip && !chip.checked) continue;
    const result = field.name.match(/^(.*)-(unit|ago)$/);
    if (result && form.elements[`${result[1]}-value`]?.value === "") continue;
    state.set(field.name, field.value);
  }
  return state.toString();
}

/* Numbers, and what the lists offer: nothing else is taken from an address. */
function fill(form, state) {
  for (const [name, value] of state) {
    const field = form.elements[name];
    if (!field || LEFT_OUT.has(name) || field instanceof RadioNodeList) continue;
    if (field.type === "checkbox") field.checked = value === "1";
    else if (field.tagName === "SELECT") {
      if ([...field.options].some((each) => each.value === value)) field.value = value;
    } else if (PLAIN.test(value)) field.value = value;
  }
}
