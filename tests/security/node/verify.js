// Reads {jwks, issuer, userPoolId, clientId, tokens: {name: token}} from standard input; prints {name: {verifier: "ok" or
// the error's name}}. Each verifier is set up as its own README does it for Cognito access tokens; neither fetches.
import { text } from "node:stream/consumers";
import { CognitoJwtVerifier } from "aws-jwt-verify";
import { createLocalJWKSet, jwtVerify } from "jose";

const { jwks, issuer, userPoolId, clientId, tokens } = JSON.parse(await text(process.stdin));

const cognito = CognitoJwtVerifier.create({ userPoolId, clientId, tokenUse: "access" });
cognito.cacheJwks(jwks);
const keys = createLocalJWKSet(jwks);
const options = { issuer, algorithms: ["RS256"], requiredClaims: ["sub", "client_id", "token_use"] };

const verifiers = {
  "aws-jwt-verify": (token) => cognito.verifySync(token),
  jose: (token) => jwtVerify(token, keys, options),
};

async function verdict(verify, token) {
  try {
    await verify(token);
    return "ok";
  } catch (error) {
    return error.code ?? error.name;
  }
}

const verdicts = {};
for (const [name, token] of Object.entries(tokens)) {
  verdicts[name] = {};
  for (const [verifier, verify] of Object.entries(verifiers)) {
    verdicts[name][verifier] = await verdict(verify, token);
  }
}
console.log(JSON.stringify(verdicts));
