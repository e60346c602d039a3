import type { Redis } from '@upstash/redis';
import type { WindowOptions } from '../../quota.ts';
import { StoreUnavailable } from '../../store.ts';
import { GRAIN_MS, spanOf } from '../window.ts';
import { createScript } from './script.ts';

/**
 * The exact window of `src/quota.ts` in Lua, on one key and the server's clock.
 *
 * The value is a list: a head, `used closed first last count expires` (all calls held, the end of a closure,
 * the newest sub-bucket, the end of the key's TTL), then the older sub-buckets, oldest first, as `last count`.
 * So a draw that joins the newest reads two items and writes one. A single string of the same bytes costs
 * three times as much, because Lua would hash all of it for each copy.
 *
 * ARGV: mode, span, grain, limit, amount (the cost of a draw, the milliseconds of a closure).
 * Reply: granted (1 or 0), remaining, resetMs, retryAfterMs, server time in milliseconds.
 */
export const WINDOW_LUA = `#!lua flags=allow-key-locking
local key, mode, span, grain = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local limit, amount = tonumber(ARGV[4]), tonumber(ARGV[5])
local max, format, match = math.max, string.format, string.match

local clock = redis.call('TIME')
local wall = clock[1] * 1000 + math.floor(clock[2] / 1000)

local items = redis.call('LRANGE', key, 0, 1)
local known, complete = items[1], #items < 2
local used, closed, first, last, count, expires = 0, 0, 0, 0, 0, 0
if known then
  used, closed, first, last, count, expires = match(known, '(%d+) (%d+) (%d+) (%d+) (%d+) (%d+)')
  used, closed, first = tonumber(used), tonumber(closed), tonumber(first)
  last, count, expires = tonumber(last), tonumber(count), tonumber(expires)
end

-- A clock that steps back frees nothing.
local now = max(wall, last)

-- The i-th oldest sub-bucket, the newest one excepted: its last draw and its count.
local function older(i)
  if not items[i + 1] and not complete then
    local more = redis.call('LRANGE', key, #items, #items + 31)
    complete = #more < 32
    for _, item in ipairs(more) do items[#items + 1] = item end
  end
  if items[i + 1] then
    local at, calls = match(items[i + 1], '(%d+) (%d+)')
    return tonumber(at), tonumber(calls)
  end
end

local gone = 0
if now - last >= span then
  used, count, gone, items, complete = 0, 0, -1, {}, true
else
  local at, calls = older(1)
  while at and now - at >= span do
    used, gone = used - calls, gone + 1
    at, calls = older(gone + 1)
  end
end

local granted, fits = 0, now
if mode == 'draw' then
  fits = max(now, closed)
  local held, i = used, gone + 1
  while held > limit - amount do
    local at, calls = older(i)
    if not at then
      fits = max(fits, last + span)
      break
    end
    held, fits, i = held - calls, max(fits, at + span), i + 1
  end
  if fits == now then granted = 1 end
end

if granted == 1 or mode == 'close' then
  local left
  if mode == 'close' then
    closed = max(closed, now + amount)
  else
    used = used + amount
    if count > 0 and now - first < grain then
      count = count + amount
    else
      if count > 0 then left = format('%d %d', last, count) end
      first, count = now, amount
    end
    last = now
  end

  -- Renewed only when it gets short: that saves a command per draw. A second covers all rounding.
  local needed = max(last + span, closed) - now + 1000
  local renew = expires - wall < needed
  if renew then expires = wall + needed + span end

  local head = format('%d %d %d %d %d %d', used, closed, first, last, count, expires)
  if known then
    -- The last one to go stays, to be overwritten: an emptied list would lose its TTL.
    if gone ~= 0 then redis.call('LTRIM', key, gone, -1) end
    redis.call('LSET', key, 0, head)
  else
    redis.call('RPUSH', key, head)
  end
  if left then redis.call('RPUSH', key, left) end
  if renew then redis.call('PEXPIRE', key, expires - wall) end
end

local remaining = max(0, limit - used)
if now < closed then remaining = 0 end
local reset = closed - now
if count > 0 then reset = max(reset, last + span - now) end
return { granted, remaining, max(0, reset), fits - now, now }
`;

/** What the script says of a window, by the server's clock. */
interface WindowReply {
  readonly granted: boolean;
  readonly remaining: number;
  readonly resetMs: number;
  readonly retryAfterMs: number;
  /** Unix time of the server in milliseconds. */
  readonly time: number;
}

export type WindowScript = (
  mode: 'draw' | 'peek' | 'close',
  key: string,
  limit: number,
  amount: number,
) => Promise<WindowReply>;

/** The script on `redis`. Its calls reject with StoreUnavailable for whatever Redis or the way to it does. */
export function createWindowScript(redis: Redis, options: WindowOptions): WindowScript {
  const run = createScript(redis, WINDOW_LUA);
  const span = spanOf(options);

  return async (mode, key, limit, amount) => {
    const reply = await run(key, [mode, span, GRAIN_MS, limit, amount]);
    if (!isReply(reply)) throw new StoreUnavailable('Redis answered a window with something else');
    const [granted, remaining, resetMs, retryAfterMs, time] = reply;
    return { granted: granted === 1, remaining, resetMs, retryAfterMs, time };
  };
}

const isReply = (reply: unknown): reply is [number, number, number, number, number] =>
  Array.isArray(reply) && reply.length === 5 && reply.every(Number.isSafeInteger);
