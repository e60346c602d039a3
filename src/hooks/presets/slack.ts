/** What apps post to a Slack incoming webhook: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks */

import { at, list, text } from '../json-read.ts';
import type { Fact, Notice, Preset, Section } from '../notice.ts';
import { facts, firstLine, join, link, section, time } from '../notice-parts.ts';
import { anyNotice } from './any.ts';

/** The name of what a button or a title leads to. */
const LINK = 'Link';
const MAX_DEPTH = 6;

export const slack: Preset = ({ payload }) => {
  const blocks = list(payload, 'blocks').flatMap(block);
  const attachments = list(payload, 'attachments');
  const summary = mrkdwn(text(payload, 'text'));
  const sections = [
    // Beside blocks, the text is what a notification shows of them.
    ...(blocks.length > 0 ? blocks : section(null, summary)),
    ...attachments.flatMap(attachment),
  ];
  if (sections.length === 0) return anyNotice(payload, 'Slack message');
  const shortened = mrkdwn(text(payload, 'text'), (url, label) => label ?? url);
  const title = firstLine(shortened ?? sections[0]?.title ?? sections[0]?.text ?? '') || 'Slack message';
  const first = sections.flatMap((part) => part.facts).find(({ name, url }) => name === LINK && url);
  return {
    subject: title,
    title,
    tone: toneOf(text(attachments[0], 'color')),
    sections: sections.map((part) => ({ ...part, facts: part.facts.filter((fact) => fact !== first) })),
    link: link(first?.value ?? '', first?.url ?? null),
    thread: null,
    key: null,
  };
};

function toneOf(colour: string | null): Notice['tone'] {
  if (colour === 'good') return 'good';
  if (colour === 'warning') return 'warning';
  return colour === 'danger' ? 'bad' : 'neutral';
}

function block(read: unknown): readonly Section[] {
  // The Markdown of a `markdown` block stands as it is.
  const content = plain(at(read, 'text')) ?? text(read, 'text');
  switch (text(read, 'type')) {
    case 'header':
      return content === null ? [] : [{ title: content, text: null, facts: [] }];
    case 'context':
      return section(null, join(' · ', list(read, 'elements').map(plain)));
    case 'rich_text':
      return section(null, richText(read, 0));
    case 'table': {
      const rows = list(read, 'rows').map((row) => (Array.isArray(row) ? row.map(cell).join(' | ') : null));
      return section(null, join('\n', rows));
    }
    default:
      return section(null, content, [...list(read, 'fields').flatMap(field), ...links(read)]);
  }
}

const cell = (read: unknown): string => richText(read, 0) ?? '';

/** A field of a section: most have a bold first line for a name. */
function field(read: unknown): readonly Fact[] {
  const content = plain(read);
  if (content === null) return [];
  const name = firstLine(content);
  const value = content.slice(name.length).trim();
  return value === '' ? [{ name: 'Field', value: name }] : [{ name: name.replace(/:$/, ''), value }];
}

function attachment(read: unknown): readonly Section[] {
  const title = mrkdwn(text(read, 'title'));
  const parts = ['author_name', 'pretext', 'text', 'footer'].map((key) => mrkdwn(text(read, key)));
  const content = join('\n', parts) ?? (title === null ? mrkdwn(text(read, 'fallback')) : null);
  const fields = list(read, 'fields').map(
    (field) => [mrkdwn(text(field, 'title')) ?? 'Field', mrkdwn(text(field, 'value'))] as const,
  );
  const inner = list(read, 'blocks').flatMap(block);
  const own = section(title, content, [...facts(fields), ...links(read)]);
  return title !== null && own.length === 0
    ? [{ title, text: null, facts: [] }, ...inner]
    : [...own, ...inner];
}

/** Where a block or an attachment and its buttons lead, and its pictures. */
function links(read: unknown): readonly Fact[] {
  const parts = [read, at(read, 'accessory'), ...list(read, 'elements'), ...list(read, 'actions')];
  return facts(
    parts.flatMap((part) => {
      const page = text(part, 'title_link');
      const target = text(part, 'url');
      const image = text(part, 'image_url');
      return [
        [LINK, page && 'Open', page],
        [LINK, target && (plain(at(part, 'text')) ?? text(part, 'text') ?? 'Open'), target],
        [text(part, 'alt_text') ?? 'Image', image, image],
      ] as const;
    }),
  );
}

/** A text object: `mrkdwn` has marks, `plain_text` has none. */
function plain(object: unknown): string | null {
  const content = text(object, 'text');
  return text(object, 'type') === 'plain_text' ? content : mrkdwn(content);
}

/** The text of a `rich_text` block: its lists and sections as lines, their elements run together. */
function richText(element: unknown, depth: number): string | null {
  if (depth > MAX_DEPTH) return null;
  const type = text(element, 'type');
  const name = at(element, 'text');
  if (type === 'link') return labelled(text(element, 'url') ?? '', text(name));
  if (type === 'emoji') return `:${text(element, 'name') ?? ''}:`;
  if (type === 'date') return text(element, 'fallback') ?? time(element, 'timestamp');
  if (type === 'channel') return `#${text(element, 'channel_id') ?? ''}`;
  const mentioned = text(element, 'user_id') ?? text(element, 'usergroup_id') ?? text(element, 'range');
  if (mentioned !== null) return `@${mentioned}`;
  // Not trimmed: the blanks stand between the elements.
  if (typeof name === 'string') return name;
  const isBlock = type === 'rich_text' || type === 'rich_text_list';
  const bullet = type === 'rich_text_list' ? '• ' : '';
  const parts = list(element, 'elements').map((part) => richText(part, depth + 1));
  return join(
    isBlock ? '\n' : '',
    parts.map((part) => (part === null ? null : bullet + part)),
  );
}

const MAX_MRKDWN = 40_000;

/** A mark at either end of words, not within them or beside another of its kind; the marks may be nested. */
const EMPHASIS = ['*', '_', '~', '`'].map((mark) => {
  const one = `\\${mark}`;
  return new RegExp(`(?<![\\w${one}])${one}(?=\\S)([^${one}\\n]*[^\\s${one}])${one}(?![\\w${one}])`, 'g');
});

/** Slack's markup as plain text: https://docs.slack.dev/messaging/formatting-message-text */
function mrkdwn(
  marked: string | null,
  link: (url: string, label: string | null) => string = labelled,
): string | null {
  if (marked === null) return null;
  const linked = marked
    .slice(0, MAX_MRKDWN)
    .replace(
      /<([@#!][^<>|]*|[a-z][a-z0-9+.-]*:[^\s<>|]*)(?:\|([^<>]*))?>/gi,
      (_, target: string, label?: string) => reference(target, label ?? null, link),
    );
  return EMPHASIS.reduce((text, emphasis) => text.replace(emphasis, '$1'), linked)
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
}

/** What stands between angle brackets: a link, or a user, a channel, a group or a date. */
function reference(target: string, label: string | null, link: typeof labelled): string {
  if (/^[@#]/.test(target)) return `${target.charAt(0)}${label ?? target.slice(1)}`;
  if (target.startsWith('!date^')) return label ?? target;
  if (target.startsWith('!')) return label ?? `@${target.slice(1).split('^', 1)[0]}`;
  return link(target, label);
}

/** `build 7 (https://…)`. */
function labelled(url: string, label: string | null): string {
  return label === null || label === url ? url : `${label} (${url})`;
}
