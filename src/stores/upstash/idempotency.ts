import type { Redis } from '@upstash/redis';
import type { Idempotency, IdempotencyState } from '../../idempotency.ts';
import { StoreUnavailable } from '../../store.ts';
import { createScript, ping } from './script.ts';

/**
 * A key is a hash of `print`, `token`, `until` (the end of the lease, server time in ms), `kept` (how long it stays, in
 * ms) and, once finished, `record`. One that is damaged is `lost`: something may have been sent. Each script is one
 * key, one request.
 */

/** ARGV: fingerprint, token, lease in ms, kept in ms. Reply: the state, and what belongs to it. */
const BEGIN_LUA = `#!lua flags=allow-key-locking
local key, print, token, lease, kept = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local known = redis.pcall('HMGET', key, 'print', 'until', 'record')
if known.err then return { 'lost' } end
if not (known[1] or known[2] or known[3]) then
  redis.call('HSET', key, 'print', print, 'token', token, 'until', string.format('%d', now + lease),
    'kept', kept)
  redis.call('PEXPIRE', key, kept)
  return { 'fresh' }
end
if known[1] ~= print then return { known[1] and 'mismatch' or 'lost' } end
if known[3] then return { 'replay', known[3] } end
local left = (tonumber(known[2]) or now) - now
if left > 0 then return { 'busy', left } end
return { 'lost' }
`;

/** ARGV: token, record. */
const FINISH_LUA = `#!lua flags=allow-key-locking
local known = redis.call('HMGET', KEYS[1], 'token', 'record', 'kept')
if known[1] == ARGV[1] and not known[2] then
  redis.call('HSET', KEYS[1], 'record', ARGV[2])
  if known[3] then redis.call('PEXPIRE', KEYS[1], known[3]) end
end
return { 'done' }
`;

/** ARGV: token. */
const RELEASE_LUA = `#!lua flags=allow-key-locking
local known = redis.call('HMGET', KEYS[1], 'token', 'record')
if known[1] == ARGV[1] and not known[2] then redis.call('DEL', KEYS[1]) end
return { 'done' }
`;

/**
 * Idempotency keys in Upstash Redis, for any number of instances, by the server's clock.
 * Every method is one request and rejects with StoreUnavailable when Redis does not answer.
 *
 * Where the reply to `begin` is lost the key stays leased to no request: it is `busy`, then `lost`.
 *
 * @param redis From `createRedis`, which hands records back as they were stored.
 */
export function createUpstashIdempotency(redis: Redis): Idempotency {
  const begin = createScript(redis, BEGIN_LUA);
  const finish = createScript(redis, FINISH_LUA);
  const release = createScript(redis, RELEASE_LUA);

  return {
    async begin({ key, fingerprint, leaseMs, keptMs }) {
      const token = crypto.randomUUID();
      return stateOf(await begin(keyOf(key), [fingerprint, token, Math.ceil(leaseMs), keptMs]), token);
    },

    async finish(key, token, record) {
      assertDone(await finish(keyOf(key), [token, record]));
    },

    async release(key, token) {
      assertDone(await release(keyOf(key), [token]));
    },

    ping: () => ping(redis),
  };
}

const keyOf = (key: string): string => `postern:idempotency:${key}`;

function stateOf(reply: unknown, token: string): IdempotencyState {
  const [state, detail]: unknown[] = Array.isArray(reply) ? reply : [];
  if (state === 'fresh') return { state, token };
  if (state === 'lost' || state === 'mismatch') return { state };
  if (state === 'replay' && typeof detail === 'string') return { state, record: detail };
  if (state === 'busy' && typeof detail === 'number') return { state, retryAfterMs: detail };
  throw nonsense();
}

function assertDone(reply: unknown): void {
  if (!Array.isArray(reply) || reply[0] !== 'done') throw nonsense();
}

const nonsense = () => new StoreUnavailable('Redis answered an idempotency key with something else');
