-- Applies lists of writes, each list whole or not at all. KEYS[1]: the key "meta" of the store. ARGV[1]: "commit" or "lists".
-- ARGV[2], MessagePack: of a commit {worker key, owner, epoch's number, number that was told last, most topics, topics, list};
-- else lists. A list is {guards, writes}. A guard is {expected, command...}: `true` stands for nothing found.
-- A write is a command of Redis, or one of those below. Nothing is written before all guards of a list were looked at, and what
-- is written here cannot fail, so a list is written whole: Redis runs one script at a time and logs its writes as one transaction.
local P = string.sub(KEYS[1], 1, -5)
local call = redis.call
local own = {}

own['+RUN'] = function(id, body, status)
    local old
    if call('HSET', P .. 'runs', id, body) == 1 then
        call('ZADD', P .. 'arrivals', call('HINCRBY', P .. 'meta', 'run', 1), id)
        call('ZADD', P .. 'run_ids', 0, id)
    else
        old = call('HGET', P .. 'open', id)
    end
    if old == status then return end
    if old then call('ZREM', P .. 'open:' .. old, id) end
    if status ~= 'succeeded' then
        call('HSET', P .. 'open', id, status)
        call('ZADD', P .. 'open:' .. status, call('ZSCORE', P .. 'arrivals', id), id)
    elseif old then
        call('HDEL', P .. 'open', id)
    end
end

own['+FORGET_RUN'] = function(id)
    local status = call('HGET', P .. 'open', id)
    if status then
        call('HDEL', P .. 'open', id)
        call('ZREM', P .. 'open:' .. status, id)
    end
    call('HDEL', P .. 'runs', id)
    call('ZREM', P .. 'arrivals', id)
    call('ZREM', P .. 'run_ids', id)
end

own['+CHUNK'] = function(run, number, body)
    if call('HSET', P .. 'journal:' .. run, number, body, 'n', string.format('%.0f', number + 1)) == 2 then
        call('ZADD', P .. 'run_ids', 0, run)
    end
end

own['+CUT'] = function(run, before)
    local key, following = P .. 'journal:' .. run, before
    for _, field in ipairs(call('HKEYS', key)) do
        if field ~= 'n' and tonumber(field) < before then call('HDEL', key, field) end
    end
    local known = call('HGET', key, 'n')
    if known and tonumber(known) > following then following = tonumber(known) end
    call('HSET', key, 'n', string.format('%.0f', following))
end

own['+FORGET_JOURNAL'] = function(run)
    call('DEL', P .. 'journal:' .. run)
    for _, name in ipairs(call('HKEYS', P .. 'streams:' .. run)) do
        call('DEL', P .. 'stream:' .. #run .. ':' .. run .. #name .. ':' .. name)
    end
    call('DEL', P .. 'streams:' .. run)
end

own['+STREAM'] = function(run, name, first, row, size)
    call('ZADD', P .. 'stream:' .. #run .. ':' .. run .. #name .. ':' .. name, first, row)
    call('HINCRBY', P .. 'streams:' .. run, name, size)
    call('ZADD', P .. 'run_ids', 0, run)
end

own['+SESSION'] = function(place, number, row, before, about)
    local key = P .. 'session:' .. place
    if call('HSET', key, number, row) == 1 then call('ZADD', P .. 'sessions', 0, place) end
    if before then
        for _, field in ipairs(call('HKEYS', key)) do
            local first = tonumber(field)
            if first < before and first + string.match(call('HGET', key, field), '^%d+') <= before then
                call('HDEL', key, field)
            end
        end
    end
    if about then call('SADD', about, 's' .. place) end
end

own['+FORGET_MESSAGES'] = function(place, number)
    call('HDEL', P .. 'session:' .. place, number)
    if call('EXISTS', P .. 'session:' .. place) == 0 then call('ZREM', P .. 'sessions', place) end
end

own['+VALUE'] = function(place, name, body, at_ms, subject, about, shared)
    local key, notes = P .. 'value:' .. place, P .. 'value_notes:' .. place
    if call('HSET', key, name, body) == 1 then
        call('ZADD', P .. 'values', 0, place)
    else
        local old = call('HGET', notes, name)
        if old and string.match(old, '^%-?%d*:(.*)$') ~= subject then subject, about = '*', shared end
    end
    call('HSET', notes, name, at_ms .. ':' .. subject)
    if about then call('SADD', about, 'v' .. place) end
end

own['+FORGET_VALUE'] = function(place, name)
    call('HDEL', P .. 'value:' .. place, name)
    call('HDEL', P .. 'value_notes:' .. place, name)
    if call('EXISTS', P .. 'value:' .. place) == 0 then call('ZREM', P .. 'values', place) end
end

own['+FORGET_VALUES'] = function(place)
    call('DEL', P .. 'value:' .. place, P .. 'value_notes:' .. place)
    call('ZREM', P .. 'values', place)
end

own['+MARK'] = function(place, name, offset)
    local old = call('HGET', P .. 'value:' .. place, name)
    if old and cmsgpack.unpack(old) > offset then return end
    call('HSET', P .. 'value:' .. place, name, cmsgpack.pack(offset))
    call('HSETNX', P .. 'value_notes:' .. place, name, '0:')
    call('ZADD', P .. 'values', 0, place)
end

own['+FORGET_TIMER'] = function(id)
    local old = call('HGET', P .. 'timer_queues', id)
    if old then
        call('ZREM', P .. 'queue:' .. old, id)
        call('ZREM', P .. 'set_times:' .. old, id)
        call('HDEL', P .. 'timer_queues', id)
        call('HDEL', P .. 'timers', id)
    end
end

own['+TIMER'] = function(id, row, queue, due, set)
    own['+FORGET_TIMER'](id)
    call('HSET', P .. 'timers', id, row)
    call('HSET', P .. 'timer_queues', id, queue)
    call('ZADD', P .. 'queue:' .. queue, due, id)
    if set then call('ZADD', P .. 'set_times:' .. queue, set, id) end
    call('SADD', P .. 'queues', queue)
end

own['+LETTER'] = function(run, row)
    call('HSET', P .. 'dead', run, row)
    call('ZADD', P .. 'deaths', call('HINCRBY', P .. 'meta', 'dead', 1), run)
    call('ZADD', P .. 'run_ids', 0, run)
end

own['+SEND'] = function(id, row, partition)
    if call('HEXISTS', P .. 'events', id) == 1 or call('HEXISTS', P .. 'inbox_ids', id) == 1 then return end
    local number = string.format('%.0f', call('HINCRBY', P .. 'meta', 'sent', 1))
    call('HSET', P .. 'inbox', number, partition .. ':' .. #id .. ':' .. id .. row)
    call('HSET', P .. 'inbox_ids', id, number)
    call('ZADD', P .. 'waiting:' .. partition, number, number)
end

own['+RECEIVE'] = function(number)
    local row = call('HGET', P .. 'inbox', number)
    if not row then return end
    local partition, length, start = string.match(row, '^(%d+):(%d+):()')
    call('HDEL', P .. 'inbox', number)
    call('HDEL', P .. 'inbox_ids', string.sub(row, start, start + length - 1))
    call('ZREM', P .. 'waiting:' .. partition, number)
end

own['+TAKE'] = function(id)
    local number = call('HGET', P .. 'inbox_ids', id)
    if number then own['+RECEIVE'](number) end
end

own['+BLOB'] = function(digest, body)
    call('HSETNX', P .. 'blobs', digest, body)
    call('ZADD', P .. 'blob_ids', 0, digest)
end

own['+USE'] = function(digest, owner, at_ms)
    call('HSET', P .. 'uses:' .. digest, owner, at_ms)
    call('HINCRBY', P .. 'uses:' .. digest, 'n', 1)
end

local function same(expected, found)
    if expected == true then
        if type(found) ~= 'table' then return not found or found == 0 end
        for _, each in ipairs(found) do
            if each then return false end
        end
        return true
    end
    if type(expected) ~= 'table' then return expected == found end
    if type(found) ~= 'table' or #expected ~= #found then return false end
    for index, each in ipairs(expected) do
        if not same(each, found[index]) then return false end
    end
    return true
end

local function holds(guards)
    for _, guard in ipairs(guards) do
        if not same(guard[1], call(unpack(guard, 2))) then return false end
    end
    return true
end

local function write(writes)
    for _, each in ipairs(writes) do
        local mine = own[each[1]]
        if mine then
            mine(unpack(each, 2))
        else
            call(unpack(each))
        end
    end
end

local given = cmsgpack.unpack(ARGV[2])
if ARGV[1] == 'lists' then
    local done = {}
    for index, list in ipairs(given) do
        done[index] = 0
        if holds(list[1]) then
            write(list[2])
            done[index] = 1
        end
    end
    return done
end
local worker, owner, number, told, topics_max, topics, list = unpack(given)
local found = call('HMGET', worker, 'owner', 'number')
if found[1] ~= owner then return 'fenced' end
local last = tonumber(found[2])
if last >= number then return 'known' end
if last < told then return 'lost' end
if list[3] or not holds(list[1]) then return 'fenced' end
local new = 0
for _, topic in ipairs(topics) do
    if call('SISMEMBER', P .. 'topics', topic) == 0 then new = new + 1 end
end
if new > 0 then
    local total = call('SCARD', P .. 'topics') + new
    if total > topics_max then return 'topics ' .. total end
    for _, topic in ipairs(topics) do call('SADD', P .. 'topics', topic) end
end
write(list[2])
call('HSET', worker, 'number', string.format('%.0f', number))
return 'written'
