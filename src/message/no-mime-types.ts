/**
 * What the bundles have in place of nodemailer's table of a thousand file types, a seventh of their size:
 * a message names the type of each of its parts, so nothing is ever looked up.
 */

export const detectMimeType = (): string => 'application/octet-stream';
export const detectExtension = (): string => 'bin';
