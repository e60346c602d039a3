/** JSON that has bytes and sets as well. */

export const pack = (value: unknown): string =>
  JSON.stringify(value, (_, item: unknown) => {
    if (item instanceof Uint8Array) return { $bytes: Buffer.from(item).toString('base64') };
    return item instanceof Set ? { $set: [...item] } : item;
  });

export const unpack = (text: string): unknown =>
  JSON.parse(text, (_, item: unknown) => {
    const { $bytes, $set } = (item ?? {}) as { $bytes?: string; $set?: unknown[] };
    if ($bytes !== undefined) return new Uint8Array(Buffer.from($bytes, 'base64'));
    return $set === undefined ? item : new Set($set);
  });
