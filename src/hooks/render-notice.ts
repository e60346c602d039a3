/**
 * A notice as mail: a text part for a terminal, and an HTML part for every mail client in light and dark.
 *
 * What a notice holds comes from outside. So every text is cleaned of control characters, bounded, and escaped
 * where it goes into the page, and a link is one only if it is `http:` or `https:`.
 */

import { withoutEncodedWords } from '../message/encoded-word.ts';
import type { Fact, Notice, Section } from './notice.ts';
import { clip } from './one-line.ts';

const MAX_SUBJECT = 200;
const MAX_TITLE = 300;
const MAX_NAME = 200;
const MAX_VALUE = 2_000;
const MAX_TEXT = 20_000;
const MAX_URL = 2_000;
const MAX_FACTS = 200;
const MAX_SECTIONS = 50;

export function renderNotice(notice: Notice): { subject: string; text: string; html: string } {
  const tidy = bounded(notice);
  return {
    subject: withoutEncodedWords(line(notice.subject, MAX_SUBJECT) || tidy.title),
    text: textPart(tidy),
    html: htmlPart(tidy),
  };
}

/** Whether the mail shows less of them than there is. */
export const isCut = (sections: readonly Section[]): boolean =>
  sections.some(
    ({ text, facts }) =>
      (text ?? '').length > MAX_TEXT ||
      facts.length > MAX_FACTS ||
      facts.some(({ value }) => value.length > MAX_VALUE),
  );

/** The notice, clean and within bounds. */
type Tidy = Pick<Notice, 'title' | 'tone' | 'sections' | 'link'>;

function bounded(notice: Notice): Tidy {
  const shown = notice.sections.slice(0, MAX_SECTIONS);
  // What there is room for in one section, so that a long one takes none from those with fewer facts.
  let room = MAX_FACTS;
  while (shown.reduce((sum, { facts }) => sum + Math.min(facts.length, room), 0) > MAX_FACTS) room -= 1;
  const sections = shown.map((section): Section => {
    const facts = section.facts.slice(0, room).map(tidyFact);
    if (facts.length < section.facts.length) facts.push({ name: '…', value: 'There is more in the event.' });
    return {
      title: section.title === null ? null : line(section.title, MAX_TITLE),
      text: section.text === null ? null : clip(clean(section.text).trim(), MAX_TEXT),
      facts,
    };
  });
  if (notice.sections.length > MAX_SECTIONS) sections.push({ title: '…', text: null, facts: [] });
  const url = notice.link && webUrl(notice.link.url);
  return {
    title: line(notice.title, MAX_TITLE) || 'Notice',
    tone: notice.tone,
    sections,
    link: notice.link && url ? { text: line(notice.link.text, MAX_NAME) || url, url } : null,
  };
}

function tidyFact({ name, value, url }: Fact): Fact {
  const target = url === undefined ? null : webUrl(url);
  const tidy = { name: line(name, MAX_NAME), value: clip(clean(value).trim(), MAX_VALUE) };
  return target === null ? tidy : { ...tidy, url: target };
}

/** Controls, and the marks that turn the direction of the text around them, which can disguise an address. */
const UNWANTED = /(?![\t\n])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu;

function clean(text: string): string {
  return text
    .replace(/\r\n?|[\u2028\u2029\u0085]/g, '\n')
    .replace(UNWANTED, '')
    .toWellFormed();
}

/** One line of at most `max`; only the head of megabytes is read for it. */
function line(text: string, max: number): string {
  const head = text.slice(0, 10 * max);
  const words = clean(head).replace(/\s+/g, ' ').trim();
  return clip(head.length < text.length ? `${words}…` : words, max);
}

/** The address as the URL parser writes it: no spaces, quotes or angle brackets; null unless it is the web's. */
function webUrl(url: string): string | null {
  if (url.length > MAX_URL || !URL.canParse(url)) return null;
  const { protocol, href } = new URL(url);
  return protocol === 'http:' || protocol === 'https:' ? href : null;
}

// The text part

function textPart({ title, sections, link }: Tidy): string {
  const parts = [underlined(title, '='), ...sections.flatMap(sectionText)];
  if (link) parts.push(`${link.text}:\n${link.url}`);
  return `${parts.join('\n\n')}\n`;
}

const underlined = (title: string, stroke: string): string =>
  `${title}\n${stroke.repeat(Math.min(title.length, 72))}`;

function sectionText({ title, text, facts }: Section): readonly string[] {
  const parts: string[] = [];
  if (title) parts.push(underlined(title, '-'));
  if (text) parts.push(text);
  if (facts.length > 0) parts.push(factTable(facts));
  return parts;
}

/** A column of names where they are short; a value's further lines stand below its first. */
function factTable(facts: readonly Fact[]): string {
  const width = Math.min(24, Math.max(...facts.map(({ name }) => name.length))) + 2;
  const indent = `\n${' '.repeat(width)}`;
  return facts
    .map(({ name, value, url }) => {
      const shown = url === undefined || url === value ? value : `${value}\n${url}`;
      const head = `${name}:`.padEnd(width);
      return `${head.length > width ? `${name}:${indent}` : head}${shown.replaceAll('\n', indent)}`;
    })
    .join('\n');
}

// The HTML part

/** Dark enough for the button's white text (WCAG: 4.5 to 1). */
const TONES = {
  good: '#1a7f4b',
  bad: '#cf222e',
  warning: '#9a6700',
  neutral: '#3b6fd4',
} as const satisfies Record<Notice['tone'], string>;

const FONT = "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
/** Long words and addresses break instead of widening a phone's page. */
const BREAK = 'overflow-wrap:anywhere;word-break:break-word';

/** Light colours stand inline, since some clients drop the style sheet; those that keep it get dark ones. */
const STYLE = `
:root{color-scheme:light dark;supported-color-schemes:light dark}
@media (prefers-color-scheme:dark){
.page{background:#121416!important}
.card{background:#1d2024!important;border-color:#343a40!important}
.ink{color:#e8eaed!important}
.soft{color:#a0a7af!important}
.rule{border-color:#343a40!important}
.link{color:#8ab4f8!important}
}
@media (max-width:480px){
.page-cell{padding:0!important}
.card{border-radius:0!important;border-left:0!important;border-right:0!important}
.pad{padding-left:18px!important;padding-right:18px!important}
.name,.value{display:block!important;width:auto!important}
.name{padding-bottom:0!important}
.value{border-top:0!important;padding-top:2px!important;padding-left:0!important}
}
`;

const TABLE = 'role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"';

/** Outlook for Windows knows no `max-width`. */
const OUTLOOK_START =
  '<!--[if mso]><table role="presentation" width="600" align="center" cellpadding="0" cellspacing="0"><tr><td><![endif]-->';
const OUTLOOK_END = '<!--[if mso]></td></tr></table><![endif]-->';

function htmlPart({ title, tone, sections, link }: Tidy): string {
  const colour = TONES[tone];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body class="page" style="margin:0;padding:0;background:#f3f4f6">
<table ${TABLE} class="page" style="background:#f3f4f6"><tr><td class="page-cell" align="center" style="padding:24px 12px">
${OUTLOOK_START}
<table ${TABLE} class="card" style="max-width:600px;background:#ffffff;border:1px solid #dfe2e6;border-radius:8px;border-collapse:separate;overflow:hidden">
<tr><td bgcolor="${colour}" style="background:${colour};height:6px;line-height:6px;font-size:0">&nbsp;</td></tr>
<tr><td class="pad" style="padding:24px 28px 4px"><h1 class="ink" style="margin:0;${FONT};font-size:20px;line-height:28px;font-weight:600;color:#1f2328;${BREAK}">${escaped(title)}</h1></td></tr>
${sections.map(sectionHtml).join('')}${link ? button(link, colour) : ''}<tr><td style="height:24px;line-height:24px;font-size:0">&nbsp;</td></tr>
</table>
${OUTLOOK_END}
</td></tr></table>
</body>
</html>
`;
}

function sectionHtml({ title, text, facts }: Section): string {
  const parts: string[] = [];
  if (title) {
    parts.push(
      `<h2 class="ink" style="margin:8px 0 4px;${FONT};font-size:15px;line-height:22px;font-weight:600;color:#1f2328;${BREAK}">${escaped(title)}</h2>`,
    );
  }
  if (text) {
    parts.push(
      `<p class="ink" style="margin:4px 0 8px;${FONT};font-size:15px;line-height:23px;color:#1f2328;${BREAK}">${paragraph(text)}</p>`,
    );
  }
  if (facts.length > 0) {
    parts.push(
      `<table ${TABLE} style="margin:4px 0 8px;border-collapse:collapse">${facts.map(factHtml).join('')}</table>`,
    );
  }
  return `<tr><td class="pad" style="padding:8px 28px">${parts.join('\n')}</td></tr>\n`;
}

function factHtml({ name, value, url }: Fact): string {
  const cell = `vertical-align:top;${FONT};font-size:14px;line-height:20px;border-top:1px solid #e5e8eb;${BREAK}`;
  const shown = url === undefined ? paragraph(value) : anchor(url, lines(value || url));
  return `<tr><td class="name soft rule" width="30%" style="padding:8px 0;color:#656d76;${cell}">${escaped(name)}</td><td class="value ink rule" style="padding:8px 0 8px 12px;color:#1f2328;${cell}">${shown}</td></tr>`;
}

function button({ text, url }: NonNullable<Notice['link']>, colour: string): string {
  return `<tr><td class="pad" style="padding:16px 28px 4px"><table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr><td bgcolor="${colour}" style="background:${colour};border-radius:6px"><a href="${escaped(url)}" style="display:inline-block;padding:11px 20px;${FONT};font-size:15px;line-height:20px;font-weight:600;color:#ffffff;text-decoration:none">${escaped(text)}</a></td></tr></table></td></tr>\n`;
}

const anchor = (url: string, html: string): string =>
  `<a class="link" href="${escaped(url)}" style="color:#0b57d0;text-decoration:underline;${BREAK}">${html}</a>`;

/** Text with its line breaks kept and its web addresses as links. */
function paragraph(text: string): string {
  let html = '';
  let end = 0;
  for (const { 0: found, index } of text.matchAll(/https?:\/\/[^\s<>"]+/gi)) {
    const address = withoutPunctuation(found);
    const url = webUrl(address);
    if (url === null) continue;
    html += lines(text.slice(end, index)) + anchor(url, escaped(address));
    end = index + address.length;
  }
  return html + lines(text.slice(end));
}

/** `https://a.example/).` ends a sentence: the address is what comes before. */
function withoutPunctuation(address: string): string {
  let end = address.length;
  while (").,;:!?'*]".includes(address.charAt(end - 1))) end -= 1;
  return address.slice(0, end);
}

const lines = (text: string): string => escaped(text).replaceAll('\n', '<br>\n');

const escaped = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
