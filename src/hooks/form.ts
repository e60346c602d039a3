/** A form from a browser as a notice: the fields that have a meaning, then the others, then its files. */

import type { Form } from '../form.ts';
import { parseMailbox } from '../message/mailbox.ts';
import { formatMediaType, parseMediaType } from '../message/media-type.ts';
import type { Fact, Notice } from './notice.ts';
import { oneLine } from './one-line.ts';
import { isCut } from './render-notice.ts';

/** Of a name or a subject; the whole of it is a fact in the mail. */
const MOST_LINE = 200;

export interface FormMail {
  readonly notice: Notice;
  /** Of the person who filled it in; null where it names no address that mail can go to. */
  readonly replyTo: { readonly address: string; readonly name?: string } | null;
  readonly attachments: readonly { filename: string; contentType: string; content: string }[];
}

/** `email`, `name`, `subject` and `message` have their meaning. */
export function formMail(form: Form, hookName: string, honeypot: string | null): FormMail {
  const value = (name: string) => (form.fields.get(name) ?? []).join(', ').trim();
  const name = oneLine(value('name'), MOST_LINE);
  const email = value('email');
  const mailbox = email === '' ? null : parseMailbox(email);
  const address = mailbox !== null && 'mailbox' in mailbox ? mailbox.mailbox.address : null;
  const meant = new Set(['email', 'name', 'subject', 'message', honeypot]);
  const facts: Fact[] = [
    ...(name === '' ? [] : [{ name: 'Name', value: value('name') }]),
    ...(email === '' ? [] : [{ name: 'E-mail', value: email }]),
    ...(value('subject').length > MOST_LINE ? [{ name: 'Subject', value: value('subject') }] : []),
    ...[...form.fields].flatMap(([field, values]) =>
      meant.has(field) ? [] : [{ name: field, value: values.join(', ') }],
    ),
  ];
  // An empty file field of a browser is a part without a name and without bytes.
  const files = form.files.filter(({ filename, bytes }) => filename !== '' || bytes.length > 0);
  const subject = oneLine(
    value('subject') || `Form "${hookName}"${name === '' ? '' : ` from ${name}`}`,
    MOST_LINE,
  );
  const sections = [
    { title: null, text: value('message') || null, facts: [] },
    ...(facts.length === 0 ? [] : [{ title: null, text: null, facts }]),
  ];
  // A form exists nowhere else: what the mail has no room for is a file of it.
  if (isCut(sections)) {
    const all = [...form.fields].map(([field, values]) => `${field}: ${values.join(', ')}\n`);
    const bytes = Buffer.from(all.join('\n'));
    files.push({ name: '', filename: 'form.txt', type: 'text/plain; charset=utf-8', bytes });
  }
  return {
    notice: {
      subject,
      title: subject,
      tone: 'neutral',
      sections,
      link: null,
      thread: null,
      key: null,
    },
    replyTo: address === null ? null : { address, ...(name !== '' && { name }) },
    attachments: files.map(({ filename, type, bytes }, index) => ({
      filename: oneLine(filename.replace(/[/\\]/g, ' '), MOST_LINE) || `file-${index + 1}`,
      contentType: attachable(type),
      content: Buffer.from(bytes).toString('base64'),
    })),
  };
}

/** What a browser makes of a file's name is no reason to lose the form: any other type is one of bytes. */
function attachable(type: string): string {
  const media = parseMediaType(type);
  if (media === null || /^(?:multipart|message)\//.test(media.essence)) return 'application/octet-stream';
  // The file has its name in another place.
  return formatMediaType({ ...media, parameters: media.parameters.filter((one) => !/^name=/i.test(one)) });
}
