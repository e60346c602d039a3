import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { scanHtml } from '../../src/message/html-pictures.ts';
import type { Message } from '../../src/message/message.ts';
import { parseMessage } from '../../src/message/parse.ts';
import type { PictureType } from '../../src/message/picture.ts';
import { base64Of, PICTURES } from '../support/pictures.ts';

type Json = Record<string, unknown>;

const base = { from: 'support@ifaxin.com', to: 'ben@ifaxin.com', subject: 'Hello', text: 'Hello Ben' };
const png = base64Of('image/png');
const gif = base64Of('image/gif');
const uri = `data:image/png;base64,${png}`;
const image = { cid: 'image1', contentType: 'image/png', content: png };

function parsed(input: Json): Message {
  const result = parseMessage({ ...base, ...input });
  if (!('message' in result)) throw new Error(JSON.stringify(result.errors));
  return result.message;
}

function errorsOf(input: Json): [pointer: string, message: string][] {
  const result = parseMessage({ ...base, ...input });
  return 'errors' in result ? result.errors.map(({ pointer, message }) => [pointer, message]) : [];
}

/** Every character as a reference, decimal or hexadecimal, with and without its semicolon. */
const decimal = (text: string) => [...text].map((char) => `&#${char.charCodeAt(0)};`).join('');
const hexadecimal = (text: string) =>
  [...text].map((char) => `&#x${char.charCodeAt(0).toString(16)}`).join('');
const zeros = (text: string) => [...text].map((char) => `&#X000${char.charCodeAt(0).toString(16)};`).join('');
const cssEscaped = (text: string) =>
  [...text].map((char) => `\\${char.charCodeAt(0).toString(16)} `).join('');

describe('a reference', () => {
  test.each([
    '<img src="cid:image1">',
    "<img src='cid:image1'>",
    '<img src=cid:image1>',
    '<img src=cid:image1 />',
    '<img/src="cid:image1"/>',
    '<IMG SRC="CID:image1">',
    '<img\n  alt="a > b"\n  src = "cid:image1"\n>',
    '<img alt=">" src="cid:image1">',
    '<img src=" cid:image1 ">',
    '<img src="ci\nd\t:image1">',
    '<img src="cid:%69mage1">',
    '<img src="cid:image1#x">',
    '<image src="cid:image1">',
    '<input type="image" src="cid:image1">',
    '<img srcset="https://ifaxin.com/a.png 1x, cid:image1 2x">',
    '<picture><source srcset="cid:image1 100w,https://ifaxin.com/a.png 200w"></picture>',
    '<table background="cid:image1">',
    '<video poster="cid:image1">',
    '<object data="cid:image1">',
    '<svg><image xlink:href="cid:image1"/></svg>',
    '<img data-src="cid:image1">',
    '<td style="background: url(cid:image1)">',
    '<td style="background: url(\'cid:image1\') no-repeat">',
    '<td style="background: url(&quot;cid:image1&quot;)">',
    '<td style=background:url(cid:image1)>',
    '<td style="background: u\\72l( \\63id:image\\31 )">',
    '<td style="/* url(cid:x) */ background: url(cid:image1)">',
    '<style>p { background: URL( "cid:image1" ) }</style>',
    '<style><!-- p { background: url(cid:image1) } --></style>',
    '<style>p { background: image-set("cid:image1" 1x, url(https://ifaxin.com/a) 2x) }</style>',
    '<!--[if mso]><v:fill src="cid:image1"/><![endif]-->',
    '<!--[if (gte mso 9)|(IE)]><td style="background:url(cid:image1)"><![endif]-->',
    '<!--[if gte mso 9]><style>td { background: url(cid:image1) }</style><![endif]-->',
    '<!--[if !mso]><!--><img src="cid:image1"><!--<![endif]-->',
    '<![if !mso]><img src="cid:image1"><![endif]>',
    '<!--><img src="cid:image1">-->',
    '<!---><img src="cid:image1">-->',
    '<!-- a --!><img src="cid:image1">',
    '<!-- a -- b --><img src="cid:image1">',
    '<noscript><img src="cid:image1"></noscript>',
    '<title>a</title><img src="cid:image1">',
    '<a href="cid:image1">see</a>',
    '<?xml:namespace prefix="o" ?><img src="cid:image1">',
    'a < b <img src="cid:image1">',
    `<img src="${decimal('cid:image1')}">`,
    `<img src="${hexadecimal('cid:image1')}">`,
    `<img src="${zeros('cid:image1')}">`,
    '<img src="cid&colon;image1">',
    '<img src="&Tab;cid:ima&NewLine;ge1">',
  ])('%s', (html) => {
    expect(errorsOf({ html, inlineImages: [image] })).toEqual([]);
  });

  test.each([
    ['logo&#64;ifaxin.com', 'logo@ifaxin.com'],
    ['logo&#x40;ifaxin.com', 'logo@ifaxin.com'],
    ['logo&commat;ifaxin&period;com', 'logo@ifaxin.com'],
    ['logo%40ifaxin.com', 'logo@ifaxin.com'],
    ['logo&#37;40ifaxin.com', 'logo@ifaxin.com'],
    ['a&plus;b&#61;c', 'a+b=c'],
    ['a&lowbar;b', 'a_b'],
  ])('"cid:%s" is decoded before it is compared', (written, cid) => {
    expect(errorsOf({ html: `<img src="cid:${written}">`, inlineImages: [{ ...image, cid }] })).toEqual([]);
  });

  test.each<[string, string]>([
    ['<img src="cid:a&amp;b%zz">', 'a&b%zz'],
    ['<img src="cid:a&amp">', 'a&'],
    ['<img src="cid:a&ampb">', 'a&ampb'],
    ['<img src="cid:a&copy;">', 'a&copy;'],
    ['<img src="cid:&#0;&#xd800;&#x110000;">', '\ufffd\ufffd\ufffd'],
    ['<img src="cid:&#128512;">', '😀'],
    ['<img src=cid:image1/>', 'image1/'],
    ['<img src="cid:a" src="cid:image1">', 'a'],
    ['<img src="https://ifaxin.com/a.png" src="cid:b" SRC="cid:c"><img src=cid:a>', 'a'],
    ['<textarea></textarea><img src="cid:a">', 'a'],
  ])('%s needs the image', (html, cid) => {
    expect(errorsOf({ html })).toEqual([
      ['/html', `Add the inline image for "cid:${cid}", or remove the reference.`],
    ]);
  });

  test.each([
    '<!-- old header: <img src="cid:x"> --><p>Thank you.</p>',
    '<!-- [if mso]><img src="cid:x"><![endif]-->',
    '<!--[if mso><img src="cid:x">-->',
    '<!-- a > <img src="cid:x"> -- > -->',
    '<!-- <img src="cid:x">',
    '<!DOCTYPE html "<img src=cid:x>',
    '<textarea><img src="cid:x"></textarea>',
    '<title><img src="cid:x"></title>',
    '<script>document.write("<img src=\'cid:x\'>")</script>',
    '<xmp><img src="cid:x"></xmp>',
    '<iframe><img src="cid:x"></iframe>',
    '<style>p::after { content: "url(cid:x)" } /* url(cid:x) */</style>',
    '<style>/* url(cid:x)',
    '</p title="x" style="background:url(cid:x)">',
    '<p>Citric acid: x, cid:y</p>',
    '<p title="acid:x">',
    '<p title="cid:x">',
    '<p title="cid: what is it?">',
    '<p>a = cid:x</p>',
    '<p>url(cid:x)</p>',
    '<a href="https://ifaxin.com/?cid:x">',
    '<a href="https://ifaxin.com/?u=cid:x">',
    '<td style="background: url(https://ifaxin.com/cid:x)">',
    '<img src="cid:x',
    '<img src="cid:x"',
  ])('is not found in %s', (html) => {
    expect(errorsOf({ html })).toEqual([]);
  });
});

describe('a picture in a data URI', () => {
  const marked = (html: string) => html.replace(/cid:[0-9a-f-]{36}\.(\d+)@ifaxin\.com/g, 'cid:#$1');

  test.each<[html: string, expected: string]>([
    [`<img src="${uri}">`, '<img src="cid:#1">'],
    [`<img src='${uri}'>`, "<img src='cid:#1'>"],
    [`<img src=${uri}>`, '<img src=cid:#1>'],
    [
      `<IMG ALT="x > y" SRC="${uri.replace('data:image/png;base64', 'DATA:Image/PNG;BASE64')}">`,
      '<IMG ALT="x > y" SRC="cid:#1">',
    ],
    [`<img src="data:image/png;charset=utf-8;base64,${png}">`, '<img src="cid:#1">'],
    [`<img src="data:image/png; base64 ,${png}">`, '<img src="cid:#1">'],
    [
      `<img src="data:image/png;base64,${png.replaceAll('+', '%2B').replaceAll('=', '%3d')}">`,
      '<img src="cid:#1">',
    ],
    [`<img src="data:image/png;base64,${png.replaceAll('=', '')}">`, '<img src="cid:#1">'],
    [
      `<img src="data:image/png;base64,${png.replaceAll('+', '-').replaceAll('/', '_')}">`,
      '<img src="cid:#1">',
    ],
    [`<img src="\n data:image/png;base64,${png.slice(0, 20)}\r\n${png.slice(20)}\n">`, '<img src="cid:#1">'],
    [
      `<img src="data:image/png,${png.replace(/.*/, () => Buffer.from(png, 'base64').toString('hex').replace(/../g, '%$&'))}">`,
      '<img src="cid:#1">',
    ],
    [`<img src="data:;base64,${png}">`, '<img src="cid:#1">'],
    [`<img src="data:application/octet-stream;base64,${png}">`, '<img src="cid:#1">'],
    [`<img src="data:binary/octet-stream;base64,${png}">`, '<img src="cid:#1">'],
    [`<img src="data:image/*;base64,${png}">`, '<img src="cid:#1">'],
    // As template engines write it.
    [`<img src="${uri.replaceAll('+', '&#43;')}">`, '<img src="cid:#1">'],
    [
      `<img src="${uri.replaceAll('+', '&#x2B;').replaceAll('/', '&#x2F;').replaceAll('=', '&#x3D;')}">`,
      '<img src="cid:#1">',
    ],
    [
      `<img src="${uri.replaceAll('+', '&plus;').replaceAll('/', '&sol;').replaceAll('=', '&equals;')}">`,
      '<img src="cid:#1">',
    ],
    [`<img src="${uri.replace(':', '&colon;').replace(',', '&comma;')}">`, '<img src="cid:#1">'],
    [`<img src="${decimal(uri)}">`, '<img src="cid:#1">'],
    [`<img src="${hexadecimal(uri)}">`, '<img src="cid:#1">'],
    // Wherever mail clients follow a cid.
    [`<image src="${uri}">`, '<image src="cid:#1">'],
    [`<input type=image src="${uri}">`, '<input type=image src="cid:#1">'],
    [`<table background="${uri}">`, '<table background="cid:#1">'],
    [`<body background='${uri}'>`, "<body background='cid:#1'>"],
    [
      `<img srcset="${uri} 1x, https://ifaxin.com/b,c.png 2x">`,
      '<img srcset="cid:#1 1x, https://ifaxin.com/b,c.png 2x">',
    ],
    [
      `<source srcset="https://ifaxin.com/b.png 1x,${uri} 2x">`,
      '<source srcset="https://ifaxin.com/b.png 1x,cid:#1 2x">',
    ],
    [`<img srcset="&#32;${decimal(uri)}, ${uri}&#44;">`, '<img srcset="&#32;cid:#1, cid:#1&#44;">'],
    [`<td style="background-image:url('${uri}')">`, `<td style="background-image:url('cid:#1')">`],
    [`<td style='background:url("${uri}") no-repeat'>`, `<td style='background:url("cid:#1") no-repeat'>`],
    [`<td style="background:url(data:;base64,${png})">`, '<td style="background:url(cid:#1)">'],
    [
      `<style>a{b:url('data:application/octet-stream;base64,${png}')}</style>`,
      `<style>a{b:url('cid:#1')}</style>`,
    ],
    [`<td style="background:url( ${uri} )">`, '<td style="background:url( cid:#1 )">'],
    [`<td style=background:url(${uri})>`, '<td style=background:url(cid:#1)>'],
    [
      `<td style="font:&quot;A&quot;;background:url(&quot;${uri.replaceAll('+', '&#43;')}&quot;);color:&copy;">`,
      '<td style="font:&quot;A&quot;;background:url(&quot;cid:#1&quot;);color:&copy;">',
    ],
    [
      `<td style="content:'&#128512;';background:url(&#39;${uri}&#x27;)">`,
      `<td style="content:'&#128512;';background:url(&#39;cid:#1&#x27;)">`,
    ],
    [
      `<td style="background:url(${cssEscaped('data:')}${uri.slice(5)})">`,
      '<td style="background:url(cid:#1)">',
    ],
    [
      `<style>a{b:url(${uri})} /* url(${gif}) */ c{d:url('${uri}')}</style>`,
      `<style>a{b:url(cid:#1)} /* url(${gif}) */ c{d:url('cid:#1')}</style>`,
    ],
    [`<style>a{b:url("data:image/png;base64,\\\n${png}")}</style>`, '<style>a{b:url("cid:#1")}</style>'],
    [
      `<style>a{b:-webkit-image-set(url("${uri}") 1x, "${uri}" 2x)}</style>`,
      '<style>a{b:-webkit-image-set(url("cid:#1") 1x, "cid:#1" 2x)}</style>',
    ],
    [`<!--[if mso]><v:fill src="${uri}"/><![endif]-->`, '<!--[if mso]><v:fill src="cid:#1"/><![endif]-->'],
    [
      `<!--[if gte mso 9]><v:imagedata src="${uri}"/><![endif]-->`,
      '<!--[if gte mso 9]><v:imagedata src="cid:#1"/><![endif]-->',
    ],
    [
      `<!--[if !mso]><!--><img src="${uri}"><!--<![endif]-->`,
      '<!--[if !mso]><!--><img src="cid:#1"><!--<![endif]-->',
    ],
  ])('becomes an inline image: %s', (html, expected) => {
    const message = parsed({ html });
    expect(marked(message.html ?? '')).toBe(expected);
    expect(message.embedded).toBe(1);
    expect(message.inlineImages).toEqual([
      {
        cid: expect.stringMatching(/^[0-9a-f-]{36}\.1@ifaxin\.com$/),
        contentType: 'image/png',
        content: png,
        filename: 'image-1.png',
      },
    ]);
    expect(message.html).toContain(`cid:${message.inlineImages[0]?.cid}`);
    expect(message.warnings).toEqual([]);
  });

  test('once each, however often it stands there', () => {
    const { html, embedded, inlineImages } = parsed({
      html: `<img src="${uri}"><img src="data:image/gif;base64,${gif}"><td style="background:url(${decimal(uri)})">`,
    });
    expect(marked(html ?? '')).toBe(
      '<img src="cid:#1"><img src="cid:#2"><td style="background:url(cid:#1)">',
    );
    expect(embedded).toBe(2);
    expect(inlineImages.map(({ contentType }) => contentType)).toEqual(['image/png', 'image/gif']);
  });

  test('has a Content-ID that no other message has', () => {
    const cids = Array.from({ length: 100 }, () =>
      parsed({ from: 'a@b.example', html: `<img src="${uri}"><img src="data:image/gif;base64,${gif}">` }),
    ).flatMap(({ inlineImages }) => inlineImages.map(({ cid }) => cid));
    expect(new Set(cids).size).toBe(200);
    for (const cid of cids) expect(cid).toMatch(/^[A-Za-z0-9._+=$~-]{30,}@b\.example$/);
  });

  test('has a name by its type, as every picture without one', () => {
    const webp = base64Of('image/webp');
    const { inlineImages } = parsed({
      html: `<img src="cid:a"><img src="cid:b"><img src="cid:c"><img src="data:image/webp;base64,${webp}">`,
      inlineImages: [
        { ...image, cid: 'a', contentType: 'image/jpg', content: base64Of('image/jpeg') },
        { ...image, cid: 'b', filename: 'Image-2.webp' },
        { ...image, cid: 'c', filename: 'logo.png' },
      ],
      attachments: [{ filename: 'image-3.webp', contentType: 'image/webp', content: webp }],
    });
    expect(inlineImages.map(({ filename }) => filename)).toEqual([
      'image-1.jpg',
      'Image-2.webp',
      'logo.png',
      'image-4.webp',
    ]);
  });

  test('does not stand in for a missing image', () => {
    expect(errorsOf({ html: `<img src="cid:a"><img src="${uri}">` })).toEqual([
      ['/html', expect.stringMatching(/Add the inline image for "cid:a"/)],
    ]);
  });

  test.each<[html: string, where: string]>([
    [`<video poster="${uri}"></video>`, '<video poster>'],
    [`<video src="${uri}"></video>`, '<video src>'],
    [`<source src="${uri}">`, '<source src>'],
    [`<object data="${uri}"></object>`, '<object data>'],
    [`<embed src='${uri}'>`, '<embed src>'],
    [`<iframe src="${uri}"></iframe>`, '<iframe src>'],
    [`<iframe srcdoc="<img src='${uri}'>"></iframe>`, '<iframe srcdoc>'],
    [`<svg><image href="${uri}"/></svg>`, '<image href>'],
    [`<svg><image xlink:href="${decimal(uri)}"/></svg>`, '<image xlink:href>'],
    [`<svg><rect fill="url(${uri})"/></svg>`, '<rect fill>'],
    [`<link rel=icon href="${uri}">`, '<link href>'],
    [`<link rel=preload as=image imagesrcset="${uri} 1x">`, '<link imagesrcset>'],
    [`<a href="${uri}">see</a>`, '<a href>'],
    [`<img data-src="${uri}">`, '<img data-src>'],
    [`<td style="background:url(data:image/svg+xml;utf8,<svg xmlns='x'/>)">`, 'url() without quotes'],
    [`<style>a{background:url(&quot;${uri}&quot;)}</style>`, 'quotes of its own'],
    [`<style>a{background:url(&#39;${uri}&#39;)}</style>`, 'quotes of its own'],
    [`<style>a{background:url(/**/${uri})}</style>`, 'quotes of its own'],
    [`<img src="'${uri}'">`, 'quotes of its own'],
    [`<img src=\\"${uri}\\">`, 'quotes of its own'],
    [`<img srcset="&quot;${uri}&quot; 2x">`, 'quotes of its own'],
  ])('is left with a warning where clients follow none: %s', (html, where) => {
    const { html: sent, embedded, inlineImages, warnings } = parsed({ html });
    expect(sent).toBe(html);
    expect(embedded).toBe(0);
    expect(inlineImages).toEqual([]);
    expect(warnings).toEqual([
      {
        pointer: '/html',
        message: expect.stringMatching(
          where === 'quotes of its own'
            ? /^Data URI 1, at character \d+ \(".{1,9}data:image\/.*is sent unchanged/
            : /^Data URI 1, at character \d+ \("data:image\/.*is sent unchanged/,
        ),
      },
    ]);
    expect(warnings[0]?.message).toContain(where);
  });

  test.each([
    '<img src="blob:https://ifaxin.com/0f7a">',
    '<td style="background:url(\'file:///C:/a.png\')">',
    `<img src="image/png;base64,${png}">`,
  ])('that is not in the message is told of: %s', (html) => {
    const warning = {
      pointer: '/html',
      message: expect.stringMatching(/^The picture at character \d+ .* not in/),
    };
    expect(parsed({ html })).toMatchObject({ html, embedded: 0, warnings: [warning] });
  });

  test.each([
    '<a href="data:text/plain,x">',
    '<a href="file:///C:/a.png">',
    '<link rel="icon" href="data:,">',
    '<style>@font-face { src: url(data:font/woff2;base64,AAAA) }</style>',
    '<style>@font-face { src: url("data:application/octet-stream;base64,AAAA") }</style>',
    '<style>@font-face { src: url(data:;base64,AAAA), url(data:x-font/woff;base64,AAAA) }</style>',
    '<p>data:image/png;base64,AAAA</p>',
    `<!-- <img src="${uri}"> -->`,
    `<textarea><img src="${uri}"></textarea>`,
    `<script>var a = '<img src="${uri}">'</script>`,
  ])('is not found in %s', (html) => {
    expect(parsed({ html })).toMatchObject({ html, embedded: 0, warnings: [] });
  });

  describe('of a type that few clients show', () => {
    const svg = "<svg xmlns='http://www.w3.org/2000/svg'><path fill='#f00' d='M0 0'/></svg>";
    test.each<[string, string, PictureType, string]>([
      ['base64', `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`, 'image/svg+xml', svg],
      ['plain text', `data:image/svg+xml;utf8,${svg}`, 'image/svg+xml', svg],
      ['percent-encoding', `data:image/svg+xml,${encodeURIComponent(svg)}`, 'image/svg+xml', svg],
      [
        'both',
        `data:image/svg+xml;charset=utf-8,${svg.replace(/[<>#]/g, encodeURIComponent)}`,
        'image/svg+xml',
        svg,
      ],
      ['an alias', `data:image/svg,${encodeURIComponent(svg)}`, 'image/svg+xml', svg],
      ['AVIF', `data:image/avif;base64,${base64Of('image/avif')}`, 'image/avif', ''],
      ['HEIC', `data:image/heif;base64,${base64Of('image/heic')}`, 'image/heic', ''],
    ])('goes out with a warning: %s', (_, source, contentType, text) => {
      for (const html of [
        `<img src="${source}">`,
        `<td style='background:url("${source.replaceAll("'", '&#39;')}")'>`,
      ]) {
        const { inlineImages, warnings } = parsed({ html });
        expect(inlineImages).toMatchObject([{ contentType }]);
        const content = Buffer.from(inlineImages[0]?.content ?? '', 'base64');
        expect(content).toEqual(text === '' ? PICTURES[contentType] : Buffer.from(text));
        expect(warnings).toEqual([
          {
            pointer: '/html',
            message: expect.stringMatching(/^Data URI 1, at .*does not show in .*Outlook/),
          },
        ]);
      }
    });

    test('as an inline image likewise', () => {
      for (const contentType of ['image/svg+xml', 'image/avif', 'image/heic'] as const) {
        const { warnings } = parsed({
          html: '<img src="cid:image1">',
          inlineImages: [{ ...image, contentType, content: base64Of(contentType) }],
        });
        expect(warnings).toEqual([
          { pointer: '/inlineImages/0', message: expect.stringContaining(`${contentType} does not show in`) },
        ]);
      }
    });

    test('keeps the fragment that chooses a part of it', () => {
      const { html, inlineImages } = parsed({ html: `<img src="data:image/svg+xml,${svg}#part">` });
      expect(html).toBe(`<img src="cid:${inlineImages[0]?.cid}#part">`);
      expect(Buffer.from(inlineImages[0]?.content ?? '', 'base64').toString()).toBe(svg);
    });
  });

  test('is refused everywhere, where it is refused in one place', () => {
    const tiff = 'data:image/tiff;base64,SUkqAAgAAAA=';
    const places = [
      `<img src="${tiff}">`,
      `<img srcset="${tiff} 1x">`,
      `<table background="${tiff}">`,
      `<td style="background:url(${tiff})">`,
      '<td style="background:url(data:image;base64,AAAA)">',
      '<td style="background:url(data:img/png;base64,AAAA)">',
      `<style>a{b:url('${tiff}')}</style>`,
      `<!--[if mso]><v:fill src="${tiff}"/><![endif]-->`,
      `<video poster="${tiff}">`,
      `<link rel=icon href="${tiff}">`,
    ];
    for (const html of places) {
      expect(errorsOf({ html }), html).toEqual([['/html', expect.stringMatching(/Use one of image\/png/)]]);
    }
  });

  test.each<[string, RegExp]>([
    ['data:,hello', /Use one of image\/png/],
    ['data:text/plain,hello', /Use one of image\/png/],
    ['data:image/png', /no comma/],
    ['data:image/png;base64,', /empty/],
    ['data:image/png;base64,AAAAA', /cut off/],
    ['data:image/png;base64,AA*A', /characters other than/],
    [`data:image/png;base64,${gif}`, /are image\/gif, not image\/png/],
    ['data:image/png,hello', /not image\/png/],
    ['data:image/svg+xml,hello', /not image\/svg\+xml/],
    [`data:image/svg+xml;base64,${png}`, /are image\/png/],
  ])('%s is not one', (source, problem) => {
    expect(errorsOf({ html: `<img src="${source}">` })).toEqual([['/html', expect.stringMatching(problem)]]);
  });

  test('that is wrong is named by its order, its place and its first characters, each of them', () => {
    const html = `<img src="${uri}"><img src="data:image/png;base64,AAA*"><p><img src="${uri}"><td style="background:url(data:image/gif;base64,${png})">`;
    const second = html.indexOf('data:image/png;base64,AAA*') + 1;
    const fourth = html.indexOf('data:image/gif') + 1;
    expect(errorsOf({ html })).toEqual([
      [
        '/html',
        expect.stringContaining(`Data URI 2, at character ${second} ("data:image/png;base64,AAA*"): `),
      ],
      [
        '/html',
        expect.stringContaining(`Data URI 4, at character ${fourth} ("data:image/gif;base64,iVBORw0KGgo`),
      ],
    ]);
  });
});

describe('megabytes of hostile HTML end', () => {
  const pieces = [
    ...[
      'a',
      ' ',
      '\n',
      'é',
      '<',
      '<a',
      '<a ',
      '<a =',
      '<a b="',
      "<a b='",
      '</a',
      '<!',
      '<!--',
      '<!-- x -->',
      '<?',
    ],
    ...[
      '<!--[if mso]>',
      '<!--[if mso]><a b="-->',
      '<!--[if mso]><style>-->',
      '<style>',
      '<style></style>',
      '<title>',
    ],
    ...[
      '&',
      '&#43;',
      '&#x41',
      '&#',
      '&quot',
      '&amp;',
      '&#00000000',
      'cid:',
      'data:',
      'url(',
      'url(  ',
      'url(cid:',
    ],
    ...[
      'url("',
      '"',
      "'",
      '/*',
      '(',
      ')',
      'a(',
      'image-set("',
      '\\',
      '\\41 ',
      '%41',
      '%',
      ',',
      ', ',
      ';',
      '=',
      '/',
      '#',
    ],
    ...[
      '<img src=cid:a>',
      '<img src=cid:',
      '<img src=data:>',
      '<img src="data:,">',
      '<a b=c d=e>',
      '<a cid cid cid>',
    ],
    ...['<a style="url(data:image/png,x)">', 'a="cid:" ', `<img src="data:image/gif;base64,${gif}">`],
  ];
  const heads = [
    ...['cid:', '<a cid ', '<a b="cid:', '<a style="cid:', '<style>cid:', '<!--[if mso]>cid:'],
    ...[
      '<img src="data:',
      '<img src="data:image/png;base64,',
      '<img src="data:image/svg+xml,',
      '<img srcset="cid:',
    ],
    ...[
      '<a b="data:image/png;',
      '<a style="b:url(data:image/svg+xml,',
      '<a style="b:url(\'data:image/png;base64,',
    ],
  ];
  test.each(heads)('%s', (head) => {
    for (const piece of pieces) {
      const text = head + piece.repeat(100_000 / piece.length);
      for (const html of [text, `${text}')"></style>-->`]) {
        const errors = errorsOf({ html });
        expect(JSON.stringify(errors).length).toBeLessThan(60_000);
      }
    }
  });

  test('as whatever text', () => {
    const part = fc.constantFrom(...pieces, ...heads);
    fc.assert(
      fc.property(fc.array(fc.oneof(part, fc.string({ unit: 'binary' })), { maxLength: 40 }), (parts) => {
        const html = parts.join('');
        const scanned = scanHtml(html, 'ifaxin.com');
        if (scanned?.embedded.length === 0 && !scanned.html.includes('@ifaxin.com')) {
          expect(scanned.html).toBe(html);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('one picture', () => {
  test.each([
    ['a data URI', `<img src=${uri}>`],
    ['a reference', '<img src=cid:image1>'],
  ])('as %s stands at ten thousand places at most', (_, one) => {
    const at = (places: number) =>
      errorsOf({ html: one.repeat(places), ...(one.includes('cid:') && { inlineImages: [image] }) });
    expect(at(10_000)).toEqual([]);
    expect(at(10_001)).toEqual([['/html', expect.stringContaining('at 10000 places')]]);
  });
});
