// Runs the translated CQL of an exported package with npm's cql-execution: one patient on each line in, one answer out.
//
// A line in: {"library", "day", "record": Bundle, "given": {name: boolean}, "rest": {name: boolean}}. What the library says is
// not given it gets from "rest", in a second run; the answer names it. Arguments: the package's folder, that of the ELM.
"use strict";
const fs = require("fs");
const path = require("path");
const readline = require("readline");
const cql = require("cql-execution");
const fhir = require("cql-exec-fhir");

const [folder, translated] = process.argv.slice(2);
const ANSWERS = ["Label", "Rows", "Treat", "Indicators", "Tests", "Regimens"];

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

async function evaluated(job, given) {
  const [year, month, day] = job.day.split("-").map(Number);
  const parameters = { ...given, Day: new cql.Date(year, month, day) };
  const source = fhir.PatientSource.FHIRv401({ requireProfileTagging: false });
  source.loadBundles([job.record]);
  const noon = new cql.DateTime(year, month, day, 12, 0, 0, 0, 0);
  const executor = new cql.Executor(libraries[job.library], codes, parameters);
  const results = await executor.exec(source, noon);
  return Object.values(results.patientResults)[0];
}

async function answered(job) {
  let found = await evaluated(job, job.given);
  const missing = found["Not given"];
  if (missing.length) {
    const added = Object.fromEntries(missing.map((name) => [name, job.rest[name]]));
    found = await evaluated(job, { ...job.given, ...added });
  }
  const findings = {};
  for (const name of Object.keys(found).filter((each) => each.startsWith("is "))) {
    findings[name.slice(3)] = found[name];
  }
  const answer = Object.fromEntries(ANSWERS.map((name) => [name, found[name]]));
  return { answer, findings, missing, left: found["Not given"] };
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answered(JSON.parse(line))));
  }
})();
