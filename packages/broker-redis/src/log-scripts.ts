import { Script } from "./scripts.ts";

/**
 * The logs in Redis. All keys of a partition begin with its hash tag, the script's one declared key P, so they are in one
 * slot; the others are made from it inside (Redis and Valkey allow that within a slot).
 *
 * | key | type | what |
 * |---|---|---|
 * | `P` | string | the last `seq` of the partition |
 * | `Pm CHANNEL` | string | MessagePack of epoch, head, tag, time, first, next, entries, age, seq: the head with its tag (empty: none) and time, the first offset that may be seen, when to put off expiry next, the channel's own retention (0 0: none), the head's `seq` (left out by earlier versions) |
 * | `Ps CHANNEL` | stream | the entries: id `OFFSET-SEQ`, one field, whose name is the tag and the time, whose value is the data |
 * | `Pi CHANNEL KEY` | string | `OFFSET EPOCH TAG SEQ` of the entry with this idempotency key |
 *
 * Announcements go to the PUB/SUB channel `Pc CHANNEL`: `E OFFSET SEQ TAG TIME EPOCH BYTES DATA`, several of them without
 * anything between (on one server those that follow one another in `seq`); `V DATA` for a volatile message; `R` when the epoch was made new.
 */
const COMMON = `
local call, format = redis.call, string.format
local P = KEYS[1]
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local TAG = 6

local function announce(sharded, name, message)
  call(sharded and 'SPUBLISH' or 'PUBLISH', P .. 'c ' .. name, message)
end

-- Counting goes on from what has been seen, also where this server was never given it, or lost it.
local function countFrom(seen)
  local last = tonumber(call('GET', P) or 0)
  if last < seen then call('INCRBY', P, seen - last) end
end

-- An epoch begins with when it was made, so that of two it is known which came later: a server that has the earlier one
-- has lost the later one.
local function madeAt(epoch) return tonumber(string.sub(epoch, 1, 8), 16) or 0 end
local function newEpoch(random, after) return string.format('%08x', math.max(clock[1], after + 1)) .. random end

-- The states of these channels, as they are kept; false for one that is not there.
local function packedOf(names)
  local keys = {}
  if #names == 0 then return keys end
  for i, name in ipairs(names) do keys[i] = P .. 'm ' .. name end
  return call('MGET', unpack(keys))
end

-- A channel's state; one that is not there yet is made, and left to 'save'. Without s the seq of its newest entry was not kept.
local function open(name, epoch, entries, age, packed)
  local key, stream = P .. 'm ' .. name, P .. 's ' .. name
  if not packed then
    call('DEL', stream)
    return {key = key, stream = stream, e = newEpoch(epoch, 0), h = 0, g = '', t = 0, f = 1, x = 0, kn = 0, ka = 0, s = 0,
      n = entries, a = age, new = true}
  end
  local e, h, g, t, f, x, kn, ka, s
  if string.byte(packed) >= 128 then
    e, h, g, t, f, x, kn, ka, s = cmsgpack.unpack(packed)
    if s < 0 then s = nil end
  else
    e, h, g, t, f, x, kn, ka, s = string.match(packed, '^(%S+) (%d+) (%S+) (%d+) (%d+) (%d+) (%d+) (%d+) ?(%d*)$')
    if g == '-' then g = '' end
    h, t, f, x, kn, ka, s = tonumber(h), tonumber(t), tonumber(f), tonumber(x), tonumber(kn), tonumber(ka), tonumber(s)
  end
  return {key = key, stream = stream, e = e, h = h, g = g, t = t, f = f, x = x, kn = kn, ka = ka, s = s,
    n = kn > 0 and kn or entries, a = kn > 0 and ka or age}
end

local function save(m, forget)
  local pack = cmsgpack.pack
  if now < m.x then
    call('SET', m.key, pack(m.e, m.h, m.g, m.t, m.f, m.x, m.kn, m.ka, m.s or -1), 'KEEPTTL')
    return
  end
  local slack = math.max(1000, math.floor(m.a / 4))
  m.x = now + math.min(slack, math.floor(forget / 4))
  local packed = pack(m.e, m.h, m.g, m.t, m.f, m.x, m.kn, m.ka, m.s or -1)
  call('SET', m.key, packed, 'PX', math.max(forget, m.a + slack * 2))
  call('PEXPIREAT', m.stream, m.t + m.a + slack * 2)
end

local function timeOf(item) return tonumber(string.sub(item[2][1], TAG + 1)) end
local function offsetOf(item) return tonumber(string.match(item[1], '^%d+')) end

-- The first offset that retention lets anybody see: times never fall, so it is found by halving.
local function firstVisible(m)
  local first = math.max(m.f, m.h - m.n + 1)
  if first > m.h then return m.h + 1 end
  local stream = m.stream
  local item = call('XRANGE', stream, first .. '-0', '+', 'COUNT', 1)[1]
  if not item then return m.h + 1 end
  first = offsetOf(item)
  local over = now - m.a
  if timeOf(item) > over then return first end
  if m.t <= over then return m.h + 1 end
  local low, high = first, m.h
  while high - low > 1 do
    local middle = math.floor((low + high) / 2)
    item = call('XRANGE', stream, middle .. '-0', '+', 'COUNT', 1)[1]
    if not item or timeOf(item) > over then high = middle else low = middle end
  end
  return high
end

local function tagAt(m, offset)
  local item = call('XRANGE', m.stream, offset .. '-0', offset .. '-18446744073709551615')[1]
  return item and string.sub(item[2][1], 1, TAG)
end
`;

/** Random characters of an epoch, after when it was made. */
export const EPOCH_CHARACTERS = 6;
/** So many characters has a tag; the scripts know it too. */
export const TAG_CHARACTERS = 6;

/**
 * ARGV: sharded (1, 0), random text for the epoch of channels that are new, the tag of all these entries, default entries and
 * age (ms), how long keys are kept and unused channels are remembered (ms), the greatest seq that the publisher has seen, how
 * many arguments a publication has; then for
 * each publication channel (empty: that of the one before) and data, and if there are four, idempotency key and own retention
 * (`ENTRIES AGE`), empty where there is none.
 *
 * Answers the seq before the first, how many channels have new entries; for each of them, in the order in which they came,
 * its epoch and the offset of the first one; then number and record of each publication whose key was there.
 *
 * Metadata are written after all entries and before anything is announced: what can still fail there is the announcing.
 */
export const PUBLISH = new Script(`${COMMON}
local sharded, epoch, tag = ARGV[1] == '1', ARGV[2], ARGV[3]
local entries, age, keep, forget = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
local seen, width = tonumber(ARGV[8]), tonumber(ARGV[9])
local count = (#ARGV - 9) / width
local seq = call('INCRBY', P, count) - count
if seq < seen then
  countFrom(seen + count)
  seq = seen
end
local names, numbers = {}, {}
for at = 10, #ARGV, width do
  local name = ARGV[at]
  if name ~= '' and not numbers[name] then
    names[#names + 1] = name
    numbers[name] = #names
  end
end
local packed = packedOf(names)
local name, metas, fresh, out, repeated, lengths = '', {}, {}, {seq, 0}, {}, {}
-- Whose entries are announced, and their text, which is one message for each: entries go out in the order of their seq,
-- save on a cluster, whose nodes are told of no order, so that one message for each channel is enough.
local told, texts, last = {}, {}, 0
local field = tag .. now
for i = 1, count do
  local at = 10 + (i - 1) * width
  local data, key, own = ARGV[at + 1], '', ''
  if ARGV[at] ~= '' then name = ARGV[at] end
  if width == 4 then key, own = ARGV[at + 2], ARGV[at + 3] end
  local idem = key ~= '' and P .. 'i ' .. name .. ' ' .. key
  local earlier = idem and call('GET', idem)
  if earlier then
    repeated[#repeated + 1] = i
    repeated[#repeated + 1] = earlier
  else
    local m = metas[name]
    if not m then
      m = open(name, epoch, entries, age, packed[numbers[name]])
      if now >= m.t then m.t, m.field = now, field else m.field = tag .. m.t end
      m.g = tag
      metas[name] = m
      fresh[#fresh + 1] = m
      out[#out + 1] = m.e
      out[#out + 1] = m.h + 1
    end
    if own ~= '' and own ~= m.own then
      m.own = own
      local n, a = string.match(own, '(%d+) (%d+)')
      n, a = tonumber(n), tonumber(a)
      if n ~= m.n or a ~= m.a then
        -- What the old retention has dropped stays dropped under the new one.
        m.f = firstVisible(m)
        m.n, m.a, m.kn, m.ka, m.x = n, a, n, a, 0
      end
    end
    local h = m.h + 1
    local id = format('%d-%d', h, seq + i)
    m.h, m.s = h, seq + i
    local trims = h > m.n and m.n < 32
    if h % 32 == 0 or trims then
      local first = firstVisible(m)
      trims = first > 1 and math.min(first, h)
    end
    if trims then
      call('XADD', m.stream, 'MINID', '~', trims .. '-0', id, m.field, data)
    else
      call('XADD', m.stream, id, m.field, data)
    end
    if idem then call('SET', idem, format('%d %s %s %d', h, m.e, tag, seq + i), 'PX', keep) end
    local length = lengths[#data]
    if not length then
      length = ' ' .. #data .. ' '
      lengths[#data] = length
    end
    local news = m.news
    if not news or (not sharded and told[last] ~= name) then
      news = {'E ', m.field, ' ', m.e, ' '}
      m.news = news
      last = last + 1
      told[last], texts[last] = name, news
    end
    local size = #news
    news[size + 1], news[size + 2], news[size + 3] = id, length, data
  end
end
for _, m in ipairs(fresh) do save(m, forget) end
for i = 1, last do announce(sharded, told[i], table.concat(texts[i])) end
out[2] = #fresh
for _, item in ipairs(repeated) do out[#out + 1] = item end
return out
`);

/**
 * Heads of channels, which are made where they are not there yet. ARGV: sharded, random text for new epochs, default age and
 * how long unused channels are remembered (ms), the greatest seq that was seen; then for each channel its name, and the epoch,
 * offset and tag of a
 * position that this node has seen there itself (epoch empty: none).
 *
 * A position that was seen in the present epoch, and is not in the log any more, or one of a later epoch, proves that the
 * log was rolled back: the epoch is made new and that is announced, so that nobody goes on in the old one.
 *
 * Answers epoch, head and tag of each.
 */
export const HEADS = new Script(`${COMMON}
local sharded, epoch, age, forget = ARGV[1] == '1', ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
countFrom(tonumber(ARGV[5]))
local out, names, metas = {}, {}, {}
for at = 6, #ARGV, 4 do names[#names + 1] = ARGV[at] end
local packed = packedOf(names)
for at = 6, #ARGV, 4 do
  local name, seen, offset, tag = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  -- A channel may come twice, with two positions that were seen there.
  local m = metas[name] or open(name, epoch, 1, age, packed[(at - 2) / 4])
  metas[name] = m
  local another = false
  if seen == m.e and not m.new then
    if offset >= m.h then
      another = offset > m.h or tag ~= m.g
    elseif offset > 0 then
      local there = tagAt(m, offset)
      another = there and there ~= tag
    end
  elseif seen ~= '' and seen ~= m.e then
    another = madeAt(seen) >= madeAt(m.e)
  end
  if another then m.e = newEpoch(epoch, math.max(madeAt(m.e), madeAt(seen))) end
  if another or m.new or now >= m.x then save(m, forget) end
  if another then announce(sharded, name, 'R') end
  out[#out + 1] = m.e
  out[#out + 1] = m.h
  out[#out + 1] = m.g
end
return out
`);

/**
 * A page of a channel and its head, of one moment. ARGV: random text for its epoch if it is new, default entries and age, how long unused
 * channels are remembered, channel, `f` forwards or `b` backwards, the position (epoch empty: none), most entries, bytes
 * past which a page ends.
 *
 * Answers epoch, head, tag, the reason why the position is refused or nothing, the head's seq; then id, field and value of
 * each entry.
 */
export const PAGE = new Script(`${COMMON}
local name, backwards = ARGV[5], ARGV[6] == 'b'
local at, offset, tag = ARGV[7], tonumber(ARGV[8]), ARGV[9]
local limit, most = tonumber(ARGV[10]), tonumber(ARGV[11])
local m = open(name, ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), packedOf({name})[1])
if m.new then save(m, tonumber(ARGV[4])) end
local first = firstVisible(m)

-- Where it was not kept, the newest entry tells; when that is gone, no entry of the partition has a greater one than its last.
local function headSeq(m)
  if m.s then return m.s end
  if m.h == 0 then return 0 end
  local item = call('XRANGE', m.stream, m.h .. '-0', '+', 'COUNT', 1)[1]
  return item and string.match(item[1], '%d+$') or call('GET', P) or '0'
end

local function refusal()
  if at ~= m.e then return 'epoch' end
  if offset > m.h then return 'ahead' end
  if offset == m.h then return tag == m.g and '' or 'tag' end
  if offset == 0 then
    if tag ~= '' then return 'tag' end
    return first == 1 and '' or 'trimmed'
  end
  if offset < first then return 'trimmed' end
  local there = tagAt(m, offset)
  if not there then return 'trimmed' end
  return there == tag and '' or 'tag'
end

local reason = ''
if at ~= '' then
  reason = refusal()
  if backwards and reason == 'trimmed' then reason = '' end
end
local out = {m.e, m.h, m.g, reason, headSeq(m)}
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
    items = call('XREVRANGE', stream, high .. '-18446744073709551615', low .. '-0', 'COUNT', step)
  else
    items = call('XRANGE', stream, low .. '-0', high .. '-18446744073709551615', 'COUNT', step)
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
