/** The shape of a message's JSON and its limits. The validation and the API description come from it. */

import * as v from 'valibot';
import { MAX_RECIPIENTS, MAX_REPLY_TO } from '../sendcloud.ts';
import { CALENDAR_METHODS, MAX_CALENDAR } from './calendar.ts';
import { MAX_HEADERS } from './custom-headers.ts';
import { MAX_FIELD } from './header.ts';
import { MAX_MAILBOX, MAX_NAME } from './mailbox.ts';
import { PICTURE_TYPES } from './picture.ts';

export const MAX_PARTS = 100;

const text = (what: string, max: number) =>
  v.pipe(
    v.string(`${what} must be a string.`),
    v.maxLength(max, `${what} must have at most ${max} characters.`),
  );

export const MailboxSchema = v.pipe(
  v.union(
    [
      v.pipe(
        v.string(),
        v.maxLength(MAX_MAILBOX, `The mailbox must have at most ${MAX_MAILBOX} characters.`),
        v.examples(['ben@ifaxin.com', 'Support <support@ifaxin.com>']),
      ),
      v.strictObject({
        name: v.nullish(text('The name', MAX_NAME)),
        address: v.pipe(text('The address', MAX_MAILBOX), v.examples(['ben@ifaxin.com'])),
      }),
    ],
    'Use a mailbox: a string such as "Ben <ben@ifaxin.com>", or {"name": "Ben", "address": "ben@ifaxin.com"}.',
  ),
  v.title('Mailbox'),
  v.description('A mailbox (RFC 5322): an address, with or without a display name.'),
);

const mailboxes = (max: number, description: string) =>
  v.pipe(
    v.nullish(
      v.union(
        [
          MailboxSchema,
          v.pipe(v.array(MailboxSchema), v.maxLength(max, `List at most ${max} addresses here.`)),
        ],
        'Use a mailbox or a list of mailboxes.',
      ),
    ),
    v.description(description),
  );

const filename = v.pipe(
  text('The file name', 255),
  v.description('Without a path.'),
  v.examples(['invoice.pdf']),
);

const contentType = text('The content type', 255);

const content = v.pipe(
  v.string('The content must be a string: bytes in base64.'),
  v.description(
    'Base64 (RFC 4648). Line breaks, the URL-safe alphabet, missing padding and a "data:…;base64," in front are accepted.',
  ),
);

/** @param count - of its characters: one or more, or none as well */
const contentId = (count: '+' | '*') =>
  v.pipe(
    v.string('The Content-ID must be a string.'),
    v.maxLength(200, 'The Content-ID must have at most 200 characters.'),
    v.regex(
      new RegExp(`^[A-Za-z0-9._+=$~@-]${count}$`),
      'Use letters, digits and . _ + = $ ~ @ - in the Content-ID, without angle brackets.',
    ),
    v.description('The id that the HTML refers to as "cid:…", without angle brackets.'),
    v.examples(['image1']),
  );

export const InlineImageSchema = v.pipe(
  v.strictObject(
    {
      cid: contentId('+'),
      contentType: v.pipe(
        contentType,
        v.description(`One of ${PICTURE_TYPES.join(', ')}, or an alias such as image/jpg.`),
        v.examples(['image/png']),
      ),
      content,
      filename: v.nullish(filename),
    },
    'Use an inline image: {"cid", "contentType", "content"}.',
  ),
  v.title('InlineImage'),
  v.description('A picture inside the message, to which the HTML refers.'),
);

export const AttachmentSchema = v.pipe(
  v.strictObject(
    {
      filename: v.pipe(filename, v.minLength(1, 'The file name must not be blank.')),
      contentType: v.pipe(contentType, v.examples(['application/pdf', 'text/csv; charset=utf-8'])),
      content,
      cid: v.nullish(contentId('*')),
    },
    'Use an attachment: {"filename", "contentType", "content"}.',
  ),
  v.title('Attachment'),
  v.description('A file. With a `cid` the HTML may refer to it; a picture that it shows is an inline image.'),
);

export const CalendarSchema = v.pipe(
  v.strictObject(
    {
      method: v.pipe(
        text('The method', 20),
        v.description(`What is asked of the recipient (RFC 5546): one of ${CALENDAR_METHODS.join(', ')}.`),
        v.examples(['REQUEST']),
      ),
      content: v.pipe(
        v.string('The calendar must be a string: the text of an iCalendar object.'),
        v.maxLength(MAX_CALENDAR, `The calendar must have at most ${MAX_CALENDAR} characters.`),
        v.description('An iCalendar object (RFC 5545), as text. Its METHOD is added where it is missing.'),
      ),
    },
    'Use a calendar: {"method", "content"}.',
  ),
  v.title('Calendar'),
  v.description(
    'An invitation, which mail clients show with buttons to answer it; goes out as an .ics file too.',
  ),
);

const headerValue = text('The header value', MAX_FIELD);

/** The JSON of one message. Its API description is made with `typeMode: 'input'`, `errorMode: 'ignore'`. */
export const MessageSchema = v.pipe(
  v.strictObject(
    {
      from: MailboxSchema,
      to: mailboxes(MAX_RECIPIENTS, 'Recipients. At least one is needed in to, cc or bcc.'),
      cc: mailboxes(MAX_RECIPIENTS, 'Recipients of a copy.'),
      bcc: mailboxes(MAX_RECIPIENTS, 'Recipients that no other recipient sees.'),
      replyTo: mailboxes(MAX_REPLY_TO, 'Where replies go.'),
      returnPath: v.nullish(
        v.pipe(
          text('The return path', MAX_MAILBOX),
          v.description('Where bounces go: the sender in the envelope, instead of that in `from`.'),
          v.examples(['bounces@ifaxin.com']),
        ),
      ),
      messageId: v.nullish(
        v.pipe(
          text('The message id', 900),
          v.description('The Message-ID header, with or without angle brackets; by default a new one.'),
          v.examples(['<order-17@ifaxin.com>']),
        ),
      ),
      subject: text('The subject', MAX_FIELD),
      text: v.nullish(
        v.pipe(
          v.string('The text must be a string.'),
          v.description('The plain text. text or html is needed; with both, clients choose.'),
        ),
      ),
      html: v.nullish(
        v.pipe(
          v.string('The html must be a string.'),
          v.description(
            'The HTML. Every "cid:" in it needs its inline image; pictures in data URIs become inline images.',
          ),
        ),
      ),
      calendar: v.nullish(CalendarSchema),
      label: v.nullish(
        v.pipe(
          v.union(
            [
              v.pipe(
                v.number(),
                v.safeInteger('The label must be a whole number.'),
                v.minValue(1, 'The label must be a positive number.'),
              ),
              v.pipe(
                v.string(),
                v.regex(/^[1-9][0-9]{0,15}$/, 'The label must be a positive whole number, or its digits.'),
              ),
            ],
            'The label must be a positive whole number, or its digits.',
          ),
          v.description("The id of a SendCloud label, for the console's statistics."),
          v.examples([31337]),
        ),
      ),
      sendAt: v.nullish(
        v.pipe(
          v.string('The time must be a string.'),
          v.maxLength(50, 'Use a time like "2026-12-24T18:00:00Z".'),
          v.description(
            'When to send it (RFC 3339), at most 30 days ahead. The answer is 202, and the outbox keeps it.',
          ),
          v.examples(['2026-12-24T18:00:00+08:00']),
        ),
      ),
      inlineImages: v.nullish(
        v.pipe(
          v.array(InlineImageSchema, 'Use a list of inline images.'),
          v.maxLength(MAX_PARTS, `List at most ${MAX_PARTS} inline images.`),
        ),
      ),
      attachments: v.nullish(
        v.pipe(
          v.array(AttachmentSchema, 'Use a list of attachments.'),
          v.maxLength(MAX_PARTS, `List at most ${MAX_PARTS} attachments.`),
        ),
      ),
      headers: v.nullish(
        v.pipe(
          v.record(
            v.string(),
            v.nullish(
              v.union(
                [
                  headerValue,
                  v.pipe(
                    v.array(headerValue),
                    v.maxLength(MAX_HEADERS, `Use at most ${MAX_HEADERS} headers.`),
                  ),
                ],
                'The header value must be a string, or a list of strings where the header may stand several times.',
              ),
            ),
            'The headers must be an object of strings.',
          ),
          v.maxEntries(MAX_HEADERS, `Use at most ${MAX_HEADERS} headers.`),
          v.description(
            'More headers, by name; a list is one header for each of its values. Those that the gateway makes are refused, and those of a known structure are held to their RFC.',
          ),
          v.examples([{ 'X-Campaign': 'spring', 'X-Tag': ['order', 'shipped'] }]),
        ),
      ),
    },
    'The message must be a JSON object.',
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

/** The parts of a message that the API description names. */
export const MESSAGE_COMPONENTS = {
  Mailbox: MailboxSchema,
  InlineImage: InlineImageSchema,
  Attachment: AttachmentSchema,
  Calendar: CalendarSchema,
  Message: MessageSchema,
};

export type MessageInput = v.InferInput<typeof MessageSchema>;
