/** A notice and a hook's templates as the JSON of a message. */

import { sha256 } from '../digest.ts';
import type { Hook } from './hook.ts';
import type { Notice } from './notice.ts';
import { renderNotice } from './render-notice.ts';
import type { Template } from './template.ts';

/** What a template may name, beside `notice` and `hook`. */
export interface TemplateContext {
  readonly payload: unknown;
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
}

export interface Rendered {
  /** For `send`. */
  readonly message: Readonly<Record<string, unknown>>;
  /** By the hook's template, else by its preset. */
  readonly key: string | null;
}

/**
 * Renders a hook. A template that fails loses no event: the plain rendering is sent with the error on top.
 *
 * @returns null where the hook's `skip` says so
 */
export async function render(
  hook: Hook,
  given: TemplateContext,
  notice: Notice | null,
): Promise<Rendered | null> {
  const plain = notice ?? EMPTY;
  const context = { ...given, notice: plain, hook: { name: hook.name } };
  const problems: string[] = [];
  const run = async (field: string, template: Template | null): Promise<string | null> => {
    if (template === null) return null;
    const result = await template(context);
    if ('text' in result) return result.text;
    problems.push(`${field}: ${result.problem}`);
    return null;
  };
  if ((await run('skip', hook.skip))?.trim() === 'true') return null;
  const key = (await run('key', hook.key))?.trim() || plain.key;
  const addresses = async (field: string, templates: readonly Template[]) => {
    const rendered = await Promise.all(templates.map((template) => run(field, template)));
    return rendered
      .flatMap((text) => (text ?? '').split(/[\r\n]+/))
      .map((one) => one.trim())
      .filter(Boolean);
  };
  const to = await addresses('to', hook.to);
  const cc = await addresses('cc', hook.cc);
  const subject = oneLine((await run('template.subject', hook.subject)) ?? '');
  const ownText = await run('template.text', hook.text);
  const ownHtml = await run('template.html', hook.html);

  const failed = problems.length > 0;
  const shown: Notice = failed
    ? {
        ...plain,
        sections: [
          { title: 'A template of this hook failed', text: problems.join('\n'), facts: [] },
          ...plain.sections,
        ],
      }
    : plain;
  const rendered = renderNotice(shown);
  const bodies =
    failed || (ownText === null && ownHtml === null)
      ? { text: rendered.text, html: rendered.html }
      : { text: ownText ?? (hook.html ? undefined : rendered.text), html: ownHtml ?? undefined };
  const references = plain.thread === null ? null : await threadId(hook, plain.thread);
  return {
    key,
    message: {
      from: hook.from,
      // Recipients that a template could not make: the sender hears of it, and nothing is lost.
      to: to.length > 0 ? to : [hook.from],
      ...(cc.length > 0 && { cc }),
      ...(hook.replyTo.length > 0 && { replyTo: hook.replyTo }),
      ...(hook.label !== null && { label: hook.label }),
      subject: subject || rendered.subject,
      ...bodies,
      ...(references !== null && { headers: { References: references } }),
    },
  };
}

const EMPTY: Notice = {
  subject: 'An event',
  title: 'An event',
  tone: 'neutral',
  sections: [],
  link: null,
  thread: null,
  key: null,
};

const oneLine = (text: string): string =>
  text
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, 500);

/** One id for all events of a thread: mail clients show what refers to the same one together (RFC 5322 section 3.6.4). */
async function threadId(hook: Hook, thread: string): Promise<string> {
  const domain = /@([A-Za-z0-9.-]+)/.exec(hook.from)?.[1] ?? 'postern.invalid';
  return `<${(await sha256(`${hook.name}\0${thread}`)).slice(0, 32)}.thread@${domain}>`;
}
