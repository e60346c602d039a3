/** The one message that every contender sends: HTML, text, and a small inline picture. */

const PICTURE = Buffer.concat([
  Buffer.from('89504e470d0a1a0a', 'hex'),
  Buffer.from(Array.from({ length: 1016 }, (_, index) => (index * 31) % 256)),
]).toString('base64');

export const MESSAGE = {
  from: 'Support <support@ifaxin.com>',
  to: ['ben@ifaxin.com'],
  subject: 'Your picture',
  text: 'See the picture in the HTML part of this message.\n',
  html: '<p>Dear Ben,</p><p>here is your picture: <img src="cid:image1"></p>\n',
  label: 31337,
  inlineImages: [{ cid: 'image1', contentType: 'image/png', content: PICTURE, filename: 'test.png' }],
};

export type BenchMessage = typeof MESSAGE;

/** The same for nodemailer. */
export const forNodemailer = ({ inlineImages, label: _, ...message }: BenchMessage) => ({
  ...message,
  attachments: inlineImages.map(({ content, ...image }) => ({ ...image, content, encoding: 'base64' })),
});
