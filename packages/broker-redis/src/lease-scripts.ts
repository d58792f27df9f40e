import { Script } from "./scripts.ts";

/**
 * The leases in Redis, all in one slot: the hash tag is the script's declared key L. In a cluster `L~`, which is never there,
 * is declared too.
 *
 * | key | type | what |
 * |---|---|---|
 * | `L` | string | the last version |
 * | `Ln` | string | how many leases there are |
 * | `Lg GROUP` | hash | for each key `VERSION LINGER MOVED OWNER VALUE`; ` b`: bytes of all of them |
 * | `Lc GROUP` | string | counts the group's changes, so that a follower sees when it missed one |
 * | `Lo OWNER` | hash | `d` deadline (ms), `e` 1 when it was released |
 * | `Lh OWNER` | sorted set | its leases, `GROUP KEY`, by linger |
 * | `Ld` | sorted set | owners, by when the sweep looks at them next |
 * | `Lt GROUP KEY` | string | the version of a lease that had several owners and is gone, for an hour |
 *
 * Changes go to the PUB/SUB channel `Lc GROUP`: `P COUNT VERSION OWNER KEY VALUE`, or `X COUNT VERSION KEY` (its time was
 * over) or `R COUNT VERSION KEY` (removed).
 */
const COMMON = `
local L = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local sharded = ARGV[1] == '1'
local TOMB, LEASE_BYTES, GROUP_BYTES, BATCH = 3600000, 256, 8388608, 1000

local function tell(group, kind, rest)
  local key = L .. 'c ' .. group
  local count = redis.call('INCR', key)
  -- A group that was quiet for long counts on from where it can't have been before.
  if count == 1 then count = redis.call('INCRBY', key, 2 * tonumber(redis.call('GET', L) or 0)) end
  redis.call('EXPIRE', key, 86400)
  redis.call(sharded and 'SPUBLISH' or 'PUBLISH', key, kind .. ' ' .. count .. ' ' .. rest)
end

local function parse(packed)
  local version, linger, moved, owner, at = string.match(packed, '^(%d+) (%d+) (%d) ([^ ]+) ()')
  return {version = tonumber(version), linger = tonumber(linger), moved = moved == '1', owner = owner,
    value = string.sub(packed, at), bytes = #packed - at + 1}
end

local deadlines = {}
local function deadline(owner)
  if deadlines[owner] == nil then
    deadlines[owner] = tonumber(redis.call('HGET', L .. 'o ' .. owner, 'd') or false) or false
  end
  return deadlines[owner]
end

local function alive(row)
  local over = deadline(row.owner)
  return over and now < over + row.linger
end

local function drop(group, key, row, kind)
  local hash = L .. 'g ' .. group
  redis.call('HDEL', hash, key)
  redis.call('ZREM', L .. 'h ' .. row.owner, group .. ' ' .. key)
  redis.call('HINCRBY', hash, ' b', -(row.bytes + LEASE_BYTES))
  if redis.call('HLEN', hash) <= 1 then redis.call('DEL', hash) end
  redis.call('DECR', L .. 'n')
  if row.moved then redis.call('SET', L .. 't ' .. group .. ' ' .. key, row.version, 'PX', TOMB) end
  tell(group, kind, row.version .. ' ' .. key)
end

local function find(group, key)
  local packed = redis.call('HGET', L .. 'g ' .. group, key)
  if not packed then return nil end
  local row = parse(packed)
  if alive(row) then return row end
  drop(group, key, row, 'X')
  return nil
end

-- Drops what is past its time of an owner. Answers whether more is waiting.
local function sweepOwner(owner, kind)
  local over = deadline(owner)
  if not over then
    redis.call('ZREM', L .. 'd', owner)
    return false
  end
  local mine = L .. 'h ' .. owner
  if now >= over then
    local places = redis.call('ZRANGEBYSCORE', mine, '-inf', now - over, 'LIMIT', 0, BATCH)
    for _, place in ipairs(places) do
      local group, key = string.match(place, '^([^ ]+) ([^ ]+)$')
      local packed = redis.call('HGET', L .. 'g ' .. group, key)
      local row = packed and parse(packed)
      if row and row.owner == owner then drop(group, key, row, kind) else redis.call('ZREM', mine, place) end
    end
    if #places == BATCH then return true end
  end
  local least = redis.call('ZRANGE', mine, 0, 0, 'WITHSCORES')[2]
  if now >= over and not least then
    redis.call('DEL', L .. 'o ' .. owner)
    redis.call('ZREM', L .. 'd', owner)
    deadlines[owner] = false
  else
    redis.call('ZADD', L .. 'd', over + tonumber(least or 0), owner)
  end
  return false
end

-- What of an owner is over goes before anything of it is renewed.
local function upToNow(owner)
  local due = redis.call('ZSCORE', L .. 'd', owner)
  if due and tonumber(due) <= now then while sweepOwner(owner, 'X') do end end
end

local function live(owner, ttl)
  redis.call('HSET', L .. 'o ' .. owner, 'd', now + ttl, 'e', 0)
  redis.call('ZADD', L .. 'd', now + ttl, owner)
  deadlines[owner] = now + ttl
end
`;

/** ARGV: sharded, owner, ttlMs. Answers how many leases it has. */
export const RENEW = new Script(`${COMMON}
local owner, ttl = ARGV[2], tonumber(ARGV[3])
upToNow(owner)
if not deadline(owner) or redis.call('HGET', L .. 'o ' .. owner, 'e') == '1' then return 0 end
live(owner, ttl)
return redis.call('ZCARD', L .. 'h ' .. owner)
`);

/**
 * ARGV: sharded, owner, ttlMs, group, key, value, lingerMs, condition, its version, most leases. Answers `put`, version
 * and whom it was taken from (or empty); or `refused` and the lease there as it is kept (or nothing); or `limit` and why.
 */
export const PUT = new Script(`${COMMON}
local owner, ttl, group, key, value, linger = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local condition, version, most = ARGV[8], tonumber(ARGV[9]), tonumber(ARGV[10])
local hash, place = L .. 'g ' .. group, group .. ' ' .. key
local row = find(group, key)
local mine = row and row.owner == owner
if condition == 'restore' and mine then return {'put', row.version, ''} end
local holds
if condition == 'expect' then
  holds = (row and row.version or 0) == version
elseif row or version == 0 then
  holds = not row or mine
else
  local tomb = redis.call('GET', L .. 't ' .. place)
  holds = not tomb or tonumber(tomb) <= version
end
if not holds then return {'refused', row and redis.call('HGET', hash, key)} end
if not row and tonumber(redis.call('GET', L .. 'n') or 0) >= most then return {'limit', ''} end
local bytes = #value - (row and row.bytes or -LEASE_BYTES)
if bytes > 0 and tonumber(redis.call('HGET', hash, ' b') or 0) + bytes > GROUP_BYTES then
  return {'limit', 'Those of ' .. group .. ' have ' .. GROUP_BYTES .. ' bytes already.'}
end
upToNow(owner)
live(owner, ttl)
if row and not mine then redis.call('ZREM', L .. 'h ' .. row.owner, place) end
local moved = row and (row.moved or not mine)
local next = redis.call('INCR', L)
redis.call('HSET', hash, key, next .. ' ' .. linger .. ' ' .. (moved and 1 or 0) .. ' ' .. owner .. ' ' .. value)
redis.call('HINCRBY', hash, ' b', bytes)
redis.call('ZADD', L .. 'h ' .. owner, linger, place)
if not row then redis.call('INCR', L .. 'n') end
tell(group, 'P', next .. ' ' .. owner .. ' ' .. key .. ' ' .. value)
return {'put', next, row and not mine and row.owner or ''}
`);

/** ARGV: sharded, owner, group, key. Answers 1 if it had the lease. */
export const REMOVE = new Script(`${COMMON}
local row = find(ARGV[3], ARGV[4])
if not row or row.owner ~= ARGV[2] then return 0 end
drop(ARGV[3], ARGV[4], row, 'R')
return 1
`);

/** ARGV: sharded, owner. */
export const RELEASE = new Script(`${COMMON}
local owner = ARGV[2]
upToNow(owner)
if not deadline(owner) or redis.call('HGET', L .. 'o ' .. owner, 'e') == '1' then return 0 end
redis.call('HSET', L .. 'o ' .. owner, 'd', now, 'e', 1)
deadlines[owner] = now
while sweepOwner(owner, 'R') do end
return 1
`);

/** ARGV: sharded, group. Answers the count of changes, then key and lease, as it is kept, of each that is not over. */
export const LIST = new Script(`${COMMON}
local group = ARGV[2]
local out = {tonumber(redis.call('GET', L .. 'c ' .. group) or 0)}
local fields = redis.call('HGETALL', L .. 'g ' .. group)
for i = 1, #fields, 2 do
  if string.sub(fields[i], 1, 1) ~= ' ' and alive(parse(fields[i + 1])) then
    out[#out + 1] = fields[i]
    out[#out + 1] = fields[i + 1]
  end
end
return out
`);

/** ARGV: sharded. Drops a batch of what is past its time. Answers in how many ms there is more to do, or -1. */
export const SWEEP = new Script(`${COMMON}
local owners = redis.call('ZRANGEBYSCORE', L .. 'd', '-inf', now, 'LIMIT', 0, 100)
for _, owner in ipairs(owners) do
  if sweepOwner(owner, 'X') then return 0 end
end
local next = redis.call('ZRANGE', L .. 'd', 0, 0, 'WITHSCORES')[2]
return next and math.max(0, math.ceil(tonumber(next) - now)) or -1
`);
