// Runs the translated CQL of an exported package with npm's cql-execution: one patient on each line in, one answer out.
//
// A line is the number of a question, a tab and JSON; the answer repeats the number. In: {"library", "day", "record": Bundle, "given": {name: boolean}, "rest": {name: boolean}}. What the library says is
// not given it gets from "rest", in another run; the answer names it. Arguments: the package's folder, that of the ELM.
"use strict";
const fs = require("fs");
const path = require("path");
const readline = require("readline");
const cql = require("cql-execution");
const fhir = require("cql-exec-fhir");

const [folder, translated] = process.argv.slice(2);
const ABOUT = ["Label", "Treat", "The deficiency is for the problem list"];
const LISTS = ["Rows", "Indicators", "Tests", "Regimens", "Notes", "Follow ups"];
const OF_ORDERS = ["Order rows", "Order indicators", "Order tests", "Order regimens", "Order notes", "Order removals"];
const ANSWERS = [...ABOUT, ...LISTS, ...OF_ORDERS];
const MISSING = "Not given at all";

function readJson(file) {
  return JSON.parse(fs.readFileSync(file, "utf8"));
}

function valueSets() {
  const found = {};
  for (const name of fs.readdirSync(folder).filter((each) => each.startsWith("ValueSet-"))) {
    const set = readJson(path.join(folder, name));
    const codes = (set.expansion.contains || []).map((each) => ({ code: each.code, system: each.system, version: "" }));
    found[set.url] = { [set.version]: codes };
  }
  return found;
}

const repository = {};
for (const name of fs.readdirSync(translated).filter((each) => each.endsWith(".json"))) {
  const elm = readJson(path.join(translated, name));
  repository[elm.library.identifier.id] = elm;
}
const libraries = {};
for (const [id, elm] of Object.entries(repository)) {
  libraries[id] = new cql.Library(elm, new cql.Repository(repository));
}
const codes = new cql.CodeService(valueSets());
const source = fhir.PatientSource.FHIRv401({ requireProfileTagging: false }); // reads the whole model: once

// What was read of a record is kept: the data source would build it anew at every look, and a patient is looked at often.
function keeping(find) {
  const known = new WeakMap();
  return function kept(...given) {
    if (!known.has(this)) known.set(this, new Map());
    const answers = known.get(this);
    if (!answers.has(given[0])) answers.set(given[0], find.apply(this, given));
    return answers.get(given[0]);
  };
}

class Keeping {
  constructor(inner) {
    this.inner = inner;
  }
  currentPatient() {
    const patient = this.inner.currentPatient();
    if (patient) {
      const ofRecords = Object.getPrototypeOf(Object.getPrototypeOf(patient));
      if (!ofRecords.isKeeping) {
        for (const name of ["get", "getCode"]) ofRecords[name] = keeping(ofRecords[name]);
        ofRecords.isKeeping = true;
      }
      patient.findRecords = keeping(patient.findRecords);
    }
    return patient;
  }
  nextPatient() {
    this.inner.nextPatient();
    return this.currentPatient();
  }
}

// As `Executor` does it, definition by definition: it would begin anew for a patient of whom something is not given.
class Evaluation {
  constructor(job, given, patient) {
    const [year, month, day] = job.day.split("-").map(Number);
    const noon = new cql.DateTime(year, month, day, 12, 0, 0, 0, 0);
    this.library = libraries[job.library];
    const parameters = { ...given, Day: new cql.Date(year, month, day) };
    this.context = new cql.PatientContext(this.library, patient, codes, parameters, noon);
    this.found = {};
  }
  async until(last) {
    for (const [name, definition] of Object.entries(this.library.expressions)) {
      if (definition.context === "Patient" && !(name in this.found)) {
        this.found[name] = await definition.execute(this.context);
      }
      if (name === last) break;
    }
    return this.found;
  }
}

async function answered(job) {
  const given = { ...job.given };
  const missing = [];
  source.reset();
  source.loadBundles([job.record]);
  const patient = new Keeping(source).currentPatient();
  let evaluation = new Evaluation(job, given, patient);
  let left = (await evaluation.until(MISSING))[MISSING];
  while (left.some((name) => name in job.rest)) {
    missing.push(...left);
    left.forEach((name) => { given[name] = job.rest[name]; delete job.rest[name]; });
    evaluation = new Evaluation(job, given, patient);
    left = (await evaluation.until(MISSING))[MISSING];
  }
  const found = await evaluation.until();
  const findings = {};
  for (const name of Object.keys(found).filter((each) => each.startsWith("is "))) {
    findings[name.slice(3)] = found[name];
  }
  const answer = Object.fromEntries(ANSWERS.map((name) => [name, found[name]]));
  return { answer, findings, missing, left };
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const place = line.indexOf("\t");
    console.log(line.slice(0, place + 1) + JSON.stringify(await answered(JSON.parse(line.slice(place + 1)))));
  }
})();
