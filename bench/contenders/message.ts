/** The one message that every contender sends: HTML, text, and a small inline picture. */

/** So many bytes that begin as a PNG does, in base64. */
export const PICTURE = (bytes: number): string =>
  Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    Buffer.from(Array.from({ length: bytes - 8 }, (_, index) => (index * 31) % 256)),
  ]).toString('base64');

export const MESSAGE = {
  from: 'Support <support@ifaxin.com>',
  to: ['ben@ifaxin.com'],
  subject: 'Your picture',
  text: 'See the picture in the HTML part of this message.\n',
  html: '<p>Dear Ben,</p><p>here is your picture: <img src="cid:image1"></p>\n',
  label: 31337,
  inlineImages: [{ cid: 'image1', contentType: 'image/png', content: PICTURE(1024), filename: 'test.png' }],
};

interface Part {
  readonly filename: string;
  readonly contentType: string;
  readonly content: string;
}

export interface ShapeMessage {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly text?: string;
  readonly html?: string;
  readonly label?: number;
  readonly inlineImages?: readonly (Part & { readonly cid: string })[];
  readonly attachments?: readonly Part[];
}

/** The same for nodemailer. */
export const forNodemailer = (message: ShapeMessage) => {
  const { inlineImages = [], attachments = [], label: _, to, ...rest } = message;
  const parts = [...inlineImages, ...attachments];
  return { ...rest, to: [...to], attachments: parts.map((part) => ({ ...part, encoding: 'base64' })) };
};
