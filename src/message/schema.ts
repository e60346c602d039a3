/** The shape of a message's JSON and its limits. The validation and the API description come from it. */

import * as v from 'valibot';
import { MAX_RECIPIENTS, MAX_REPLY_TO } from '../sendcloud.ts';
import { MAX_MAILBOX, MAX_NAME } from './mailbox.ts';
import { PICTURE_TYPES } from './picture.ts';

export const MAX_PARTS = 100;
export const MAX_HEADERS = 50;

/** The message of an optional field. null is no way to say nothing, and some clients write it so. */
const unlessNull =
  (message: string) =>
  ({ input }: v.BaseIssue<unknown>): string =>
    input === null ? 'Leave this field out: null is no value here.' : message;

export const MailboxSchema = v.union(
  [
    v.pipe(
      v.string(),
      v.maxLength(MAX_MAILBOX, `Shorten the mailbox to at most ${MAX_MAILBOX} characters.`),
      v.description('A mailbox (RFC 5322): an address, with or without a display name.'),
      v.examples(['ben@ifaxin.com', 'Support <support@ifaxin.com>']),
    ),
    v.strictObject({
      name: v.optional(
        v.pipe(
          v.string(unlessNull('Give the name as a string.')),
          v.maxLength(MAX_NAME, `Shorten the name to at most ${MAX_NAME} characters.`),
        ),
      ),
      address: v.pipe(
        v.string('Give the address as a string.'),
        v.maxLength(MAX_MAILBOX, `Shorten the address to at most ${MAX_MAILBOX} characters.`),
        v.examples(['ben@ifaxin.com']),
      ),
    }),
  ],
  'Give a mailbox: a string like "Ben <ben@ifaxin.com>", or {"name": "Ben", "address": "ben@ifaxin.com"}.',
);

const mailboxes = (max: number, description: string) =>
  v.optional(
    v.pipe(
      v.union(
        [
          v.pipe(v.array(MailboxSchema), v.maxLength(max, `List at most ${max} addresses here.`)),
          ...MailboxSchema.options,
        ],
        unlessNull('Give a mailbox or a list of mailboxes.'),
      ),
      v.description(description),
    ),
  );

const filename = (message: v.ErrorMessage<v.StringIssue>) =>
  v.pipe(
    v.string(message),
    v.minLength(1, 'Give a file name.'),
    v.maxLength(255, 'Shorten the file name to at most 255 characters.'),
  );

const content = v.pipe(
  v.string('Give the bytes as base64 text.'),
  v.description('Base64 (RFC 4648 section 4).'),
);

export const InlineImageSchema = v.strictObject(
  {
    cid: v.pipe(
      v.string('Give the Content-ID as a string.'),
      v.regex(
        /^[A-Za-z0-9._+=$~@-]{1,200}$/,
        'Use 1 to 200 letters, digits and . _ + = $ ~ @ - as the Content-ID, without angle brackets.',
      ),
      v.description('The id that the HTML refers to as "cid:…", without angle brackets.'),
      v.examples(['image1']),
    ),
    contentType: v.picklist(PICTURE_TYPES, `Use one of ${PICTURE_TYPES.join(', ')}.`),
    content,
    filename: v.optional(filename(unlessNull('Give the file name as a string.'))),
  },
  'Give an inline image: {"cid", "contentType", "content"}.',
);

// RFC 2045 section 5.1, with spaces around the semicolons; of the parameter names those of RFC 2231 section 7,
// without its continuations.
const CONTENT_TYPE =
  /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}(?: *; *[\w!#$&^.+-]+=(?:[\w!#$%&'*+.^`{|}~-]+|"[\x20\x21\x23-\x5b\x5d-\x7e]*"))*$/;

export const AttachmentSchema = v.strictObject(
  {
    filename: filename('Give the file name as a string.'),
    contentType: v.pipe(
      v.string('Give the content type as a string.'),
      v.maxLength(255, 'Shorten the content type to at most 255 characters.'),
      v.regex(CONTENT_TYPE, 'Give a content type like "application/pdf" or "text/csv; charset=utf-8".'),
      v.examples(['application/pdf']),
    ),
    content,
  },
  'Give an attachment: {"filename", "contentType", "content"}.',
);

/** The JSON of one message. Its API description is made with `typeMode: 'input'`, `errorMode: 'ignore'`. */
export const MessageSchema = v.pipe(
  v.strictObject(
    {
      from: v.pipe(MailboxSchema, v.description('The sender, in the From header and in the envelope.')),
      to: mailboxes(MAX_RECIPIENTS, 'Recipients. At least one is needed in to, cc or bcc.'),
      cc: mailboxes(MAX_RECIPIENTS, 'Recipients of a copy.'),
      bcc: mailboxes(MAX_RECIPIENTS, 'Recipients that no other recipient sees.'),
      replyTo: mailboxes(MAX_REPLY_TO, 'Where replies go.'),
      subject: v.pipe(
        v.string('Give the subject as a string.'),
        v.maxLength(998, 'Shorten the subject to at most 998 characters.'),
      ),
      text: v.optional(
        v.pipe(
          v.string(unlessNull('Give the text as a string.')),
          v.description('The plain text. text or html is needed; with both, clients choose.'),
        ),
      ),
      html: v.optional(
        v.pipe(
          v.string(unlessNull('Give the HTML as a string.')),
          v.description(
            'The HTML. Every "cid:" in it needs its inline image; <img src="data:…"> becomes an inline image.',
          ),
        ),
      ),
      label: v.optional(
        v.pipe(
          v.union(
            [
              v.pipe(
                v.number(),
                v.safeInteger('Give the label as a whole number.'),
                v.minValue(1, 'Give the label as a positive number.'),
              ),
              v.pipe(
                v.string(),
                v.regex(/^[1-9][0-9]{0,15}$/, 'Give the label as a positive whole number, or its digits.'),
              ),
            ],
            unlessNull('Give the label as a positive whole number, or its digits.'),
          ),
          v.description("The id of a SendCloud label, for the console's statistics."),
          v.examples([31337]),
        ),
      ),
      sendAt: v.optional(
        v.pipe(
          v.string('Give the time as a string.'),
          v.maxLength(50, 'Give a time like "2026-12-24T18:00:00Z".'),
          v.description(
            'When to send it (RFC 3339), at most 30 days ahead. The answer is 202, and the outbox keeps it.',
          ),
          v.examples(['2026-12-24T18:00:00+08:00']),
        ),
      ),
      inlineImages: v.optional(
        v.pipe(
          v.array(InlineImageSchema, unlessNull('Give a list of inline images.')),
          v.maxLength(MAX_PARTS, `List at most ${MAX_PARTS} inline images.`),
        ),
      ),
      attachments: v.optional(
        v.pipe(
          v.array(AttachmentSchema, unlessNull('Give a list of attachments.')),
          v.maxLength(MAX_PARTS, `List at most ${MAX_PARTS} attachments.`),
        ),
      ),
      headers: v.optional(
        v.pipe(
          v.record(
            v.string(),
            v.pipe(
              v.string('Give the header value as a string.'),
              v.maxLength(998, 'Shorten the header value to at most 998 characters.'),
            ),
            unlessNull('Give the headers as an object of strings.'),
          ),
          v.maxEntries(MAX_HEADERS, `Give at most ${MAX_HEADERS} headers.`),
          v.description('More headers, by name. Those that the gateway makes are refused.'),
          v.examples([{ 'X-Campaign': 'spring' }]),
        ),
      ),
    },
    'Give the message as a JSON object.',
  ),
  v.title('Message'),
  v.examples([
    {
      from: 'Support <support@ifaxin.com>',
      to: ['ben@ifaxin.com'],
      subject: 'Your order is on its way',
      text: 'Your order is on its way.',
      html: '<p>Your order is on its way.</p><img src="cid:image1" alt="">',
      label: 31337,
      inlineImages: [
        {
          cid: 'image1',
          contentType: 'image/gif',
          content: 'R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==',
          filename: 'pixel.gif',
        },
      ],
    },
  ]),
);

export type MessageInput = v.InferInput<typeof MessageSchema>;
