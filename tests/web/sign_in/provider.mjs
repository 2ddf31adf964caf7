// A real OpenID provider, whose people and their claims the tests set, and who is logged in there.
// Arguments: port, path of a file with its keys (JWKS).
import { readFileSync } from 'node:fs';
import { Provider } from 'oidc-provider';

const [port, keys] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
let current = null;
let people = {};

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'avra',
    client_secret: 'a secret of 32 characters or more',
    redirect_uris: ['http://127.0.0.1:8000/login/sso/callback'],
  }],
  jwks: JSON.parse(readFileSync(keys, 'utf8')),
  scopes: ['openid', 'email', 'profile', 'groups'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  pkce: { required: () => true },
  cookies: { keys: ['of the tests'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: async (ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, ...people[id] }) }),
  loadExistingGrant: async (ctx) => {
    const { client, session } = ctx.oidc;
    const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid email profile groups');
    await grant.save();
    return grant;
  },
});

provider.use(async (ctx, next) => {
  if (ctx.path === '/people' && ctx.method === 'PUT') {
    let body = '';
    for await (const chunk of ctx.req) body += chunk;
    ({ current, people } = JSON.parse(body));
    ctx.status = 204;
  } else if (ctx.path.startsWith('/interaction/')) {
    ctx.respond = false;
    const result = current ? { login: { accountId: current } } : { error: 'access_denied' };
    await provider.interactionFinished(ctx.req, ctx.res, result);
  } else {
    await next();
  }
});

provider.listen(port, '127.0.0.1', () => console.log('ready'));
