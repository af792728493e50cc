// An authorization server on this machine: npm's oidc-provider, as a deployment would set it up. `peers.authorization`
// runs it: node authorization_server.mjs FOLDER-OF-NODE-MODULES, with its private keys as a JWK set in KEYS.
//
// Clients register themselves; whoever comes is signed in as `u-17` and consents. A token is a JWT (RFC 9068) for the
// resource that was asked for (RFC 8707), whatever it is. LASTING: for how many seconds.

import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const { Provider } = await import(pathToFileURL(join(process.argv[2], 'oidc-provider', 'lib', 'index.js')));
const scopes = 'notes.* notes.read_note crm.*';
const lasting = Number(process.env.LASTING ?? 300);

const server = createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  jwks: JSON.parse(process.env.KEYS),
  cookies: { keys: ['tests'] },
  scopes: ['openid', 'offline_access', ...scopes.split(' ')],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  pkce: { required: () => true },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_, interaction) => `/signs-in/${interaction.uid}` },
  issueRefreshToken: () => true,
  async loadExistingGrant(ctx) {
    const { client, session, params } = ctx.oidc;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope(`openid offline_access ${scopes}`);
    for (const resource of [params.resource].flat().filter(Boolean)) grant.addResourceScope(resource, scopes);
    await grant.save();
    return grant;
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({
        audience: resource, scope: scopes, accessTokenTTL: lasting, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});
const answer = provider.callback();
server.on('request', async (request, response) => {
  if (!request.url.startsWith('/signs-in/')) return answer(request, response);
  return provider.interactionFinished(request, response, { login: { accountId: 'u-17' }, consent: {} });
});
process.stderr.write(`listening on port ${server.address().port}\n`);
