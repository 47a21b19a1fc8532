// A certified OpenID provider (panva/oidc-provider) that is not ours. Arguments: its folder, port, callback.
// The people are in the environment: {"login": {"email": …, "email_verified": …, "name": …, "hd": …}}.
import { pathToFileURL } from "node:url";
const [folder, port, callback, after] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${folder}/lib/index.js`).href);
const people = JSON.parse(process.env.PEOPLE);
const provider = new Provider(`http://127.0.0.8:${port}`, {
  clients: [{ client_id: "portal", client_secret: "a secret of this test alone, quite long", redirect_uris: [callback],
    post_logout_redirect_uris: [after] }],
  claims: { openid: ["sub", "hd"], email: ["email", "email_verified"], profile: ["name"] },
  conformIdTokenClaims: false, // as Google does: claims stand in the identity token, too
  pkce: { required: () => true },
  cookies: { keys: ["only for this test"] },
  findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  async loadExistingGrant(ctx) { // no second page that asks for consent
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope("openid profile email");
    await grant.save();
    return grant;
  },
});
provider.listen(Number(port), "127.0.0.8");
