"""Observations: each code with its value, in the Observation itself, in its components, in the members it contains."""

from __future__ import annotations

import msgspec

from .labs import read_lab, read_lab_by_words
from .reading import Reading
from .recognise import find_codes, is_local, texts
from .resources import CodeableConcept, Component, Resource, listed
from .states import read_state, read_state_by_words

B12 = "b12"


def read_observation(resource: Resource, reading: Reading) -> None:
    """Read an Observation, its components, and the Observations that it contains."""
    read_part(resource, resource, reading)
    if resource.component is not None:
        for component in listed(resource.component):
            read_part(component, resource, reading)
    if resource.contained is not None:
        for member in resource.contained:
            if member.resource_type == "Observation":
                read_part(member, inherited(member, resource), reading)


def inherited(member: Resource, panel: Resource) -> Resource:
    """A contained member speaks for itself; its name, and what it leaves out, it has from the panel."""
    undated = member.effective_date_time is None and member.effective_period is None
    return msgspec.structs.replace(
        member,
        id=panel.id,
        status=member.status or panel.status,
        effective_date_time=panel.effective_date_time if undated else member.effective_date_time,
        effective_period=panel.effective_period if undated else member.effective_period,
        issued=member.issued or panel.issued,
        specimen=member.specimen or panel.specimen,
    )


def read_part(source: Resource | Component, holder: Resource, reading: Reading) -> None:
    """One code with its value: by its codes, else by its words."""
    matches = find_codes(reading.find, source.code)
    if not matches:
        if source.code is not None:
            read_by_words(source, holder, reading)
    elif source is holder and holder.component is not None and not has_value(source):
        return  # a panel: what it holds is in its components
    elif not read_lab(source, holder, matches, reading):
        read_state(source, holder, matches, reading)


def has_value(source: Resource | Component) -> bool:
    """Does it carry a value, or the reason why it has none?"""
    values = (
        source.value_quantity,
        source.value_string,
        source.value_codeable_concept,
        source.value_integer,
        source.value_boolean,
        source.data_absent_reason,
    )
    return any(value is not None for value in values)


def read_by_words(source: Resource | Component, holder: Resource, reading: Reading) -> None:
    """No code is ours. Where there is a number, the name of a test may be; else the name of a symptom."""
    if source.value_quantity is None and source.value_string is None and source.value_integer is None:
        read_state_by_words(source, holder, reading)
        return
    code = source.code
    if type(code) is not CodeableConcept:
        wanted = texts(code)
    else:
        wanted = [] if code.text is None else [code.text]
        for coding in listed(code.coding):
            if coding.display is not None and coding.display not in wanted:
                wanted.append(coding.display)
    for text in wanted:
        names = reading.words.find(text, "analyte")
        if names and (B12 in names or all(is_local(coding.system) for coding in listed(code.coding))):
            read_lab_by_words(source, holder, names, reading)
            return
