// Verify an exported log, one receipt per line, with nothing of ours: node verify-with-node.mjs LOG TRUST (node 20)
// Form, origin, order, chain, keys and their hand-over, signatures. Reads what docs/reference/receipts.md says.
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";

const [log, trustFile] = process.argv.slice(2);
const trust = JSON.parse(readFileSync(trustFile, "utf8"));
const lines = readFileSync(log, "utf8").split("\n").slice(0, -1);

const die = (seq, why) => { console.error(`not verified: entry ${seq}: ${why}`); process.exit(1); };
const hash = (data) => createHash("sha256").update(data).digest("hex");
const sorted = (value) => {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
};
const load = ({ key_id, algorithm, public: text }) => {
  const raw = Buffer.from(text, "base64url");
  if (key_id !== `${algorithm.toLowerCase()}:${hash(raw).slice(0, 32)}`) die(0, `key ${key_id} is another`);
  const part = (from, to) => raw.subarray(from, to).toString("base64url");
  const jwk = algorithm === "Ed25519" ? { kty: "OKP", crv: "Ed25519", x: text }
    : { kty: "EC", crv: "P-256", x: part(1, 33), y: part(33, 65) };
  return { algorithm, key: createPublicKey({ format: "jwk", key: jwk }) };
};

const keys = new Map(trust.keys.map((key) => [key.key_id, load(key)]));
if (keys.size === 0) die(0, "nobody is trusted");
const retired = new Set();
let prev = "0".repeat(64);
lines.forEach((line, index) => {
  const seq = index + 1;
  let receipt;
  try { receipt = JSON.parse(line); } catch { die(seq, "not JSON"); }
  if (JSON.stringify(sorted(receipt)) !== line || !/^[\x20-\x7e]*$/.test(line)) die(seq, "not in canonical form");
  if (receipt.log.origin !== trust.origin) die(seq, "of another log");
  if (receipt.log.seq !== seq || receipt.log.prev !== prev) die(seq, "it does not follow the entry before it");
  const { key_id, algorithm, value } = receipt.signature;
  const signer = keys.get(key_id);
  if (!signer || retired.has(key_id) || signer.algorithm !== algorithm) die(seq, `${key_id} is not to sign it`);
  delete receipt.signature.value;
  const message = Buffer.from(JSON.stringify(sorted(receipt)));
  const form = { key: signer.key, dsaEncoding: "ieee-p1363" };
  const digest = algorithm === "Ed25519" ? null : "sha256";
  const signature = Buffer.from(value ?? "", "base64url");
  if (signature.toString("base64url") !== value || !verify(digest, message, form, signature)) die(seq, "not signed so");
  if (receipt.kind === "key") { retired.add(key_id); keys.set(receipt.key.key_id, load(receipt.key)); }
  prev = hash(line);
});
console.log(`verified: ${lines.length} entries of ${trust.origin}, head ${prev}`);
