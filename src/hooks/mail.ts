/** A notice and a hook's templates as the JSON of a message. */

import { sha256 } from '../digest.ts';
import { parseMailbox } from '../message/mailbox.ts';
import { parseMessage } from '../message/parse.ts';
import type { Hook } from './hook.ts';
import type { Notice } from './notice.ts';
import { oneLine } from './one-line.ts';
import { renderNotice } from './render-notice.ts';
import type { Template } from './template.ts';

const MOST_SUBJECT = 500;

/** What a template may name, beside `notice` and `hook`. */
export interface TemplateContext {
  readonly payload: unknown;
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
}

export interface Rendered {
  /** For `send`. */
  readonly message: Readonly<Record<string, unknown>>;
  /** By the hook's template, else the delivery's id, else by the preset: a repeated one is the same mail. */
  readonly key: string | null;
}

/**
 * Renders a hook. A template that fails, or makes what no message can be, loses no event: the plain rendering is
 * sent with the error on top.
 *
 * @param id - of the delivery, where its scheme has one
 * @returns null where the hook's `skip` says so
 */
export async function render(
  hook: Hook,
  given: TemplateContext,
  notice: Notice,
  id: string | null,
): Promise<Rendered | null> {
  const context = { ...given, notice, hook: { name: hook.name } };
  const problems: string[] = [];
  const run = async (field: string, template: Template | null): Promise<string | null> => {
    if (template === null) return null;
    const result = await template(context);
    if ('text' in result) return result.text;
    problems.push(`${field}: ${result.problem}`);
    return null;
  };
  const lines = async (field: string, templates: readonly Template[]): Promise<string[]> => {
    const texts = await Promise.all(templates.map((template) => run(field, template)));
    return texts.flatMap((text) => (text ?? '').split(/[\r\n]+/)).filter((line) => line.trim() !== '');
  };

  if ((await run('skip', hook.skip))?.trim() === 'true') return null;
  const key = (await run('key', hook.key))?.trim() || id || notice.key;
  const to = await lines('to', hook.to);
  const cc = await lines('cc', hook.cc);
  const subject = oneLine((await run('template.subject', hook.subject)) ?? '', MOST_SUBJECT);
  const text = await run('template.text', hook.text);
  const html = await run('template.html', hook.html);

  const common = {
    from: hook.from,
    ...(hook.replyTo.length > 0 && { replyTo: hook.replyTo }),
    ...(hook.label !== null && { label: hook.label }),
    ...(notice.thread !== null && { headers: { References: await threadId(hook, notice.thread) } }),
  };
  if (problems.length === 0) {
    const plain = renderNotice(notice);
    const bodies = text === null && html === null ? plain : { text: text ?? plain.text, html };
    const message = { ...common, to, cc, ...bodies, subject: subject || plain.subject };
    const parsed = parseMessage(message);
    if (!('errors' in parsed)) return { key, message };
    problems.push(...parsed.errors.map((error) => `${error.pointer}: ${error.message}`));
  }
  const failed = { title: 'A template of this hook failed', text: problems.join('\n'), facts: [] };
  const fallback = renderNotice({ ...notice, sections: [failed, ...notice.sections] });
  const reachable = (addresses: readonly string[]) =>
    addresses.filter((address) => 'mailbox' in parseMailbox(address));
  const recipients = reachable(to);
  return {
    key,
    message: {
      ...common,
      // Where no recipient could be made, the hook's own sender hears of it.
      to: recipients.length > 0 ? recipients : [hook.from],
      cc: reachable(cc),
      ...fallback,
    },
  };
}

/** One id for all events of a thread: mail clients show what refers to the same one together (RFC 5322 section 3.6.4). */
async function threadId(hook: Hook, thread: string): Promise<string> {
  const domain = /@([A-Za-z0-9.-]+)/.exec(hook.from)?.[1] ?? 'postern.invalid';
  return `<${(await sha256(`${hook.name}\0${thread}`)).slice(0, 32)}.thread@${domain}>`;
}
