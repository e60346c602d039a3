/** The message of every example: printed at the sandbox's start, in README and in the OpenAPI description. */

export const EXAMPLE = {
  from: 'Support <support@ifaxin.com>',
  to: 'ben@ifaxin.com',
  subject: 'Hello from Postern',
  html: '<p>Hello <img src="cid:image1"></p>',
  label: 31337,
  inlineImages: [
    {
      cid: 'image1',
      contentType: 'image/png',
      content:
        'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
      filename: 'dot.png',
    },
  ],
} as const;
