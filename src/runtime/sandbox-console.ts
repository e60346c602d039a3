/** What the sandbox's console is handed of the gateway, and the hooks that there are to try. */

import type { Config } from '../config.ts';
import type { Quota } from '../quota.ts';
import type { Surroundings } from '../sandbox/console/surroundings.ts';
import { canonicalApiUser } from '../sendcloud.ts';
import { spanOf } from '../stores/window.ts';
import type { RunningOutbox } from './outbox.ts';

const SECRET = 'sandbox-secret';

/** The value of HOOKS where none is set. The secret is as public as the sandbox's token. */
export const SANDBOX_HOOKS = JSON.stringify([
  ...['github', 'gitlab', 'stripe', 'slack'].map((preset) => ({
    name: preset,
    preset,
    scheme: preset,
    secret: SECRET,
    from: 'Hooks <hooks@example.com>',
    to: ['team@example.com'],
  })),
  {
    name: 'alerts',
    preset: 'alertmanager',
    scheme: 'bearer',
    secret: SECRET,
    from: 'Alerts <alerts@example.com>',
    to: ['oncall@example.com'],
    label: 7,
  },
  {
    name: 'contact',
    preset: 'form',
    scheme: 'none',
    from: 'Website <web@example.com>',
    to: ['sales@example.com'],
  },
]);

/** More than the console lists. */
const MOST_LISTED = 100;

export async function surroundingsOf(
  config: Config,
  gateway: { readonly quota: Quota; readonly outbox: RunningOutbox | null; readonly token: string },
): Promise<Surroundings> {
  const { quota, outbox, token } = gateway;
  const [{ apiUser, quota: limit } = { apiUser: '', quota: config.quota.limit }] = config.accounts;
  const owner = canonicalApiUser(apiUser);
  const [{ parseHooks }, { previewOf }] = await Promise.all([
    import('../hooks/hook.ts'),
    import('../hooks/door.ts'),
  ]);
  const parsed = await parseHooks(config.hooks ?? '[]', config.accounts);
  const hooks = 'hooks' in parsed ? parsed.hooks : new Map();
  return {
    apiUser,
    token,
    quota: {
      peek: () => quota.peek(apiUser, limit),
      spanMs: spanOf(config.quota),
      reserve: config.outbox?.reserve ?? 0,
    },
    outbox: outbox && {
      list: async () =>
        (await outbox.outbox.list(owner, { state: null, limit: MOST_LISTED, cursor: null }))?.records ?? [],
      cancel: (id) => outbox.outbox.cancel(owner, id),
      hasten: (id) => outbox.hasten(owner, id),
    },
    hooks: hookFacts(config.hooks),
    async preview(name, payload, headers) {
      const hook = hooks.get(name);
      return hook ? previewOf(hook, payload, headers) : null;
    },
  };
}

/** As they are set: a hook's templates are compiled, and no longer to be read. */
function hookFacts(json: string | null): Surroundings['hooks'] {
  const settings = JSON.parse(json ?? '[]') as Partial<
    Record<'name' | 'preset' | 'scheme' | 'from' | 'mode', string>
  >[];
  return settings.map((hook) => {
    const { to, label } = hook as { to?: string | string[]; label?: number };
    return {
      name: hook.name ?? '',
      preset: hook.preset ?? 'any',
      scheme: hook.scheme ?? '',
      from: hook.from ?? '',
      to: [to ?? []].flat(),
      label: label ?? null,
      mode: hook.mode ?? 'queued',
    };
  });
}
