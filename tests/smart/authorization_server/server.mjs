/* A record system for the tests: oidc-provider as its authorization server (login, consent, codes, PKCE, client
   assertions, id_tokens are all its own), and before a FHIR server a check of each token, its scopes and its patient.

   Started with one argument, the path of a JSON file: {port, upstream, clients, scopes, chosen}. It prints its issuer
   once it listens. POST /ehr/launches makes a launch, as a record system does when
   somebody follows a link: {patient, appContext, need_patient_banner} -> {launch}. POST /ehr/faults sets what it is to
   do wrong from then on. GET /ehr/frame?src=... is a page that shows that address in a frame. */
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import Provider, { errors } from "oidc-provider";

const settings = JSON.parse(readFileSync(process.argv[2], "utf8"));
const issuer = `http://127.0.0.1:${settings.port}`;
const fhir = `${issuer}/fhir`;
const launches = new Map(); // launch -> its context
const contexts = new Map(); // code, then token -> its context
let faults = {};

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...privateKey.export({ format: "jwk" }), kid: "signing", use: "sig", alg: "RS256" };

const provider = new Provider(issuer, {
  clients: settings.clients,
  scopes: ["openid", "launch", "launch/patient", "fhirUser", ...settings.scopes],
  claims: { openid: ["sub"], fhirUser: ["fhirUser"] },
  conformIdTokenClaims: false,
  jwks: { keys: [key] },
  cookies: { keys: ["only for tests"] },
  enabledJWA: { clientAuthSigningAlgValues: ["ES384", "RS384"] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true } },
  extraParams: {
    launch(ctx, value) {
      if (value !== undefined && !launches.has(value)) throw new errors.InvalidRequest("unknown launch");
    },
    aud(ctx, value) {
      if (value !== undefined && value !== fhir) throw new errors.InvalidRequest("aud is not this FHIR server");
    },
  },
  async findAccount(ctx, id) {
    return { accountId: id, async claims() { return { sub: id, fhirUser: `${fhir}/Practitioner/${id}` }; } };
  },
});
// A person who takes some of the boxes off: what oidc-provider does with a scope that its consent rejected is its own.
const grants = provider.Grant.prototype;
const { addOIDCScope } = grants;
grants.addOIDCScope = function granted(scope) {
  addOIDCScope.call(this, scope);
  const withheld = scope.split(" ").filter((each) => faults.withheld?.includes(each));
  if (withheld.length && this instanceof provider.Grant) this.rejectOIDCScope(withheld.join(" "));
};
provider.on("authorization.success", (ctx, out) => {
  const standalone = { patient: settings.chosen };
  contexts.set(out.code, ctx.oidc.params.launch ? launches.get(ctx.oidc.params.launch) : standalone);
});
provider.use(async (ctx, next) => {
  await next();
  const found = ctx.oidc?.route === "token" && ctx.body?.access_token && contexts.get(ctx.oidc.params.code);
  if (!found) return;
  contexts.set(ctx.body.access_token, found);
  Object.assign(ctx.body, found, faults.token);
});

const configuration = () => ({
  issuer,
  jwks_uri: `${issuer}/jwks`,
  authorization_endpoint: `${issuer}/auth`,
  token_endpoint: `${issuer}/token`,
  code_challenge_methods_supported: ["S256"],
  authorization_response_iss_parameter_supported: true,
  capabilities: ["launch-ehr", "launch-standalone", "client-public", "client-confidential-asymmetric",
    "sso-openid-connect", "context-ehr-patient", "context-banner", "permission-patient", "permission-v2"],
  ...faults.configuration,
});

function answer(response, status, body, type = "application/json") {
  response.writeHead(status, { "Content-Type": type });
  response.end(type === "application/json" ? JSON.stringify(body) : body);
}

async function sent(request) {
  let text = "";
  for await (const part of request) text += part;
  return text ? JSON.parse(text) : {};
}

// May this token read that? By its scopes, and of its own patient only.
function allowed(token, address) {
  const [type, id] = address.pathname.slice("/fhir/".length).split("/");
  const right = id ? "r" : "s";
  const scopes = token.scope.split(" ").map((each) => each.match(/^patient\/(\w+)\.([cruds]+)$/)).filter(Boolean);
  if (!scopes.some(([, named, rights]) => named === type && rights.includes(right))) return false;
  const { patient } = contexts.get(token.value) ?? {};
  if (type === "Medication") return true;
  return (type === "Patient" ? id : address.searchParams.get("patient")?.replace("Patient/", "")) === patient;
}

async function resource(request, response, address) {
  if (address.pathname === "/fhir/.well-known/smart-configuration") return answer(response, 200, configuration());
  const [scheme, value] = (request.headers.authorization ?? "").split(" ");
  const found = scheme === "Bearer" && value ? await provider.AccessToken.find(value) : undefined;
  if (!found?.isValid) return answer(response, 401, {});
  if (!allowed({ scope: found.scope ?? "", value }, address)) return answer(response, 403, {});
  const read = await fetch(settings.upstream + request.url.slice("/fhir".length), { headers: { "Cache-Control": "no-cache" } });
  return answer(response, read.status, (await read.text()).replaceAll(settings.upstream, fhir), "application/fhir+json");
}

async function ehr(request, response, address) {
  if (address.pathname === "/ehr/launches") {
    const launch = randomUUID();
    launches.set(launch, await sent(request));
    return answer(response, 200, { launch });
  }
  if (address.pathname === "/ehr/faults") {
    faults = await sent(request);
    return answer(response, 200, faults);
  }
  if (address.pathname === "/ehr/secrets") return answer(response, 200, [...launches.keys(), ...contexts.keys()]);
  const page = `<!doctype html><title>Chart</title><iframe width="1200" height="800" title="app" src="${address.searchParams.get("src")}"></iframe>`;
  return answer(response, 200, page, "text/html");
}

const oidc = provider.callback();
http.createServer((request, response) => {
  const address = new URL(request.url, issuer);
  if (address.pathname.startsWith("/fhir/")) return resource(request, response, address);
  if (address.pathname.startsWith("/ehr/")) return ehr(request, response, address);
  return oidc(request, response);
}).listen(settings.port, "127.0.0.1", () => console.log(issuer));
