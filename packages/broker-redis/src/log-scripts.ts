import { Script } from "./scripts.ts";

/**
 * The logs in Redis. All keys of a partition begin with its hash tag, the script's one declared key P, so they are in one
 * slot; the others are made from it inside (Redis and Valkey allow that within a slot).
 *
 * | key | type | what |
 * |---|---|---|
 * | `P` | string | the last `seq` of the partition |
 * | `Pm CHANNEL` | hash | `e` epoch, `h` head, `g` the head's tag and `t` its time, `f` the first offset that may be seen, `n` and `a` the channel's own retention (entries, ms), `x` when to put off expiry next |
 * | `Ps CHANNEL` | stream | the entries: id `OFFSET-SEQ`, one field, whose name is the tag and the time, whose value is the data |
 * | `Pi CHANNEL KEY` | string | `OFFSET EPOCH TAG SEQ` of the entry with this idempotency key |
 *
 * Announcements go to the PUB/SUB channel `Pc CHANNEL`: `E OFFSET SEQ TAG TIME EPOCH DATA`, `V DATA` for a volatile
 * message, `R` when the epoch was made new.
 */
const COMMON = `
local P = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local TAG = 6

local function announce(sharded, name, message)
  redis.call(sharded and 'SPUBLISH' or 'PUBLISH', P .. 'c ' .. name, message)
end

-- A channel's state; one that is not there yet is made, and left to 'save'.
local function open(name, epoch, entries, age)
  local r = redis.call('HMGET', P .. 'm ' .. name, 'e', 'h', 'g', 't', 'f', 'n', 'a', 'x')
  if r[1] then
    return {e = r[1], h = tonumber(r[2]), g = r[3], t = tonumber(r[4]), f = tonumber(r[5]),
      n = tonumber(r[6] or entries), a = tonumber(r[7] or age), x = tonumber(r[8])}
  end
  redis.call('DEL', P .. 's ' .. name)
  return {e = epoch, h = 0, g = '', t = 0, f = 1, n = entries, a = age, x = 0, whole = true}
end

local function save(name, m, forget)
  local key = P .. 'm ' .. name
  if m.whole then
    redis.call('HSET', key, 'e', m.e, 'h', m.h, 'g', m.g, 't', m.t, 'f', m.f)
    if m.own then redis.call('HSET', key, 'n', m.n, 'a', m.a) end
  elseif m.dirty then
    redis.call('HSET', key, 'h', m.h, 'g', m.g, 't', m.t)
  end
  if now >= m.x or m.own then
    local slack = math.max(1000, math.floor(m.a / 4))
    redis.call('HSET', key, 'x', now + math.min(slack, math.floor(forget / 4)))
    redis.call('PEXPIRE', key, math.max(forget, m.a + slack * 2))
    redis.call('PEXPIREAT', P .. 's ' .. name, m.t + m.a + slack * 2)
  end
end

local function timeOf(item) return tonumber(string.sub(item[2][1], TAG + 1)) end
local function offsetOf(item) return tonumber(string.match(item[1], '^%d+')) end

-- The first offset that retention lets anybody see: times never fall, so it is found by halving.
local function firstVisible(name, m)
  local first = math.max(m.f, m.h - m.n + 1)
  if first > m.h then return m.h + 1 end
  local stream = P .. 's ' .. name
  local item = redis.call('XRANGE', stream, first .. '-0', '+', 'COUNT', 1)[1]
  if not item then return m.h + 1 end
  first = offsetOf(item)
  local over = now - m.a
  if timeOf(item) > over then return first end
  if m.t <= over then return m.h + 1 end
  local low, high = first, m.h
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    item = redis.call('XRANGE', stream, middle .. '-0', '+', 'COUNT', 1)[1]
    if not item or timeOf(item) > over then high = middle else low = middle end
  end
  return high
end

local function tagAt(name, offset)
  local item = redis.call('XRANGE', P .. 's ' .. name, offset .. '-0', offset .. '-18446744073709551615')[1]
  return item and string.sub(item[2][1], 1, TAG)
end
`;

/** So many characters has a tag; the scripts know it too. */
export const TAG_CHARACTERS = 6;

/**
 * ARGV: sharded (1, 0), an epoch for channels that are new, tags one after the other, default entries and age (ms), how
 * long keys are kept and unused channels are remembered (ms); then for each publication channel, data, idempotency key,
 * own retention (`ENTRIES AGE`), the latter two empty where there is none.
 *
 * Answers the seq before the first, then for each publication `OFFSET EPOCH`, or for a duplicate `OFFSET EPOCH TAG SEQ`.
 *
 * Metadata are written after all entries and before anything is announced: what can still fail there is the announcing.
 */
export const PUBLISH = new Script(`${COMMON}
local sharded, epoch, tags = ARGV[1] == '1', ARGV[2], ARGV[3]
local entries, age, keep, forget = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
local count = (#ARGV - 7) / 4
local seq = redis.call('INCRBY', P, count) - count
local metas, out, news = {}, {seq}, {}
for i = 1, count do
  local at = 4 + i * 4
  local name, key = ARGV[at], ARGV[at + 2]
  local idem = key ~= '' and P .. 'i ' .. name .. ' ' .. key
  local earlier = idem and redis.call('GET', idem)
  if earlier then
    out[i + 1] = earlier
  else
    local m = metas[name]
    if not m then
      m = open(name, epoch, entries, age)
      metas[name] = m
    end
    local own = ARGV[at + 3]
    if own ~= '' then
      local n, a = string.match(own, '(%d+) (%d+)')
      n, a = tonumber(n), tonumber(a)
      if n ~= m.n or a ~= m.a then
        -- What the old retention has dropped stays dropped under the new one.
        m.f = firstVisible(name, m)
        m.n, m.a, m.own, m.whole = n, a, true, true
      end
    end
    local tag = string.sub(tags, i * TAG - TAG + 1, i * TAG)
    m.h, m.g, m.t, m.dirty = m.h + 1, tag, math.max(m.t, now), true
    local stream, id = P .. 's ' .. name, m.h .. '-' .. (seq + i)
    local first = m.h - m.n + 1
    if m.h % 32 == 0 then first = firstVisible(name, m) end
    if first > 1 and (m.h % 32 == 0 or m.n < 32) then
      redis.call('XADD', stream, 'MINID', '~', math.min(first, m.h) .. '-0', id, tag .. m.t, ARGV[at + 1])
    else
      redis.call('XADD', stream, id, tag .. m.t, ARGV[at + 1])
    end
    local place = m.h .. ' ' .. m.e
    if idem then redis.call('SET', idem, place .. ' ' .. tag .. ' ' .. (seq + i), 'PX', keep) end
    out[i + 1] = place
    news[#news + 1] = {name, 'E ' .. m.h .. ' ' .. (seq + i) .. ' ' .. tag .. ' ' .. m.t .. ' ' .. m.e .. ' ' .. ARGV[at + 1]}
  end
end
for name, m in pairs(metas) do save(name, m, forget) end
for _, one in ipairs(news) do announce(sharded, one[1], one[2]) end
return out
`);

/**
 * Heads of channels, which are made where they are not there yet. ARGV: sharded, an epoch for new ones, default age and
 * how long unused channels are remembered (ms); then for each channel its name, and the epoch, offset and tag of a
 * position that this node has seen there itself (epoch empty: none).
 *
 * A position that was seen in the present epoch, and is not in the log any more, proves that the log was rolled back: the
 * epoch is made new and that is announced, so that nobody goes on in the old one.
 *
 * Answers epoch, head and tag of each.
 */
export const HEADS = new Script(`${COMMON}
local sharded, epoch, age, forget = ARGV[1] == '1', ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local out = {}
for at = 5, #ARGV, 4 do
  local name, seen, offset, tag = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local m = open(name, epoch, 1, age)
  local another = false
  if seen == m.e and not m.whole then
    if offset >= m.h then
      another = offset > m.h or tag ~= m.g
    elseif offset > 0 then
      local there = tagAt(name, offset)
      another = there and there ~= tag
    end
  end
  if another then
    m.e = epoch
    redis.call('HSET', P .. 'm ' .. name, 'e', epoch)
  end
  save(name, m, forget)
  if another then announce(sharded, name, 'R') end
  out[#out + 1] = m.e
  out[#out + 1] = m.h
  out[#out + 1] = m.g
end
return out
`);

/**
 * A page of a channel and its head, of one moment. ARGV: an epoch if it is new, default entries and age, how long unused
 * channels are remembered, channel, `f` forwards or `b` backwards, the position (epoch empty: none), most entries, bytes
 * past which a page ends.
 *
 * Answers epoch, head, tag, the reason why the position is refused or nothing; then id, field and value of each entry.
 */
export const PAGE = new Script(`${COMMON}
local name, backwards = ARGV[5], ARGV[6] == 'b'
local at, offset, tag = ARGV[7], tonumber(ARGV[8]), ARGV[9]
local limit, most = tonumber(ARGV[10]), tonumber(ARGV[11])
local m = open(name, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]))
if m.whole then save(name, m, tonumber(ARGV[4])) end
local first = firstVisible(name, m)

local function refusal()
  if at ~= m.e then return 'epoch' end
  if offset > m.h then return 'ahead' end
  if offset == m.h then return tag == m.g and '' or 'tag' end
  if offset == 0 then
    if tag ~= '' then return 'tag' end
    return first == 1 and '' or 'trimmed'
  end
  if offset < first then return 'trimmed' end
  local there = tagAt(name, offset)
  if not there then return 'trimmed' end
  return there == tag and '' or 'tag'
end

local reason = ''
if at ~= '' then
  reason = refusal()
  if backwards and reason == 'trimmed' then reason = '' end
end
local out = {m.e, m.h, m.g, reason}
if reason ~= '' or limit == 0 then return out end
local stream = P .. 's ' .. name
local low, high = first, m.h
if backwards then
  if at ~= '' then high = math.min(high, offset - 1) end
elseif at ~= '' then
  low = math.max(low, offset + 1)
end
-- Few at first: nobody knows how large they are.
local taken, bytes, step = 0, 0, 16
while low <= high and taken < limit and bytes < most do
  local items
  step = math.min(step, limit - taken)
  if backwards then
    items = redis.call('XREVRANGE', stream, high .. '-18446744073709551615', low .. '-0', 'COUNT', step)
  else
    items = redis.call('XRANGE', stream, low .. '-0', high .. '-18446744073709551615', 'COUNT', step)
  end
  if #items == 0 then break end
  for _, item in ipairs(items) do
    if bytes >= most then break end
    out[#out + 1] = item[1]
    out[#out + 1] = item[2][1]
    out[#out + 1] = item[2][2]
    bytes = bytes + #item[2][2]
    taken = taken + 1
    if backwards then high = offsetOf(item) - 1 else low = offsetOf(item) + 1 end
  end
  step = math.max(1, math.min(64, math.ceil((most - bytes) / math.max(1, bytes / taken))))
end
return out
`);
