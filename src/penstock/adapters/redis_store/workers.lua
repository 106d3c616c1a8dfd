-- Who works on the store, and who owns what. KEYS[1]: the key "meta". ARGV[1]: what is asked; ARGV[2]: MessagePack.
-- Time is the server's.
local P = string.sub(KEYS[1], 1, -5)
local call = redis.call
local asked = {}

local function now_ms()
    local now = call('TIME')
    return now[1] * 1000 + math.floor(now[2] / 1000)
end

local function text(number) return string.format('%.0f', number) end

local function key_of(epoch) return P .. 'worker:' .. text(epoch) end

local function hand_over(from, to)
    local parts = call('HGETALL', P .. 'parts')
    for index = 1, #parts, 2 do
        if not from or parts[index + 1] == text(from) then call('HSET', P .. 'parts', parts[index], text(to)) end
    end
end

local function finish(epoch)
    call('DEL', key_of(epoch))
    call('ZREM', P .. 'workers', text(epoch))
    hand_over(epoch, 0)
end

local function all() return call('ZRANGE', P .. 'workers', 0, -1) end

local function begin(owner, alone)
    local epoch = call('HINCRBY', P .. 'meta', 'epoch', 1)
    call('HSET', key_of(epoch), 'owner', owner, 'alone', alone, 'seen', text(now_ms()), 'number', 0)
    call('ZADD', P .. 'workers', epoch, text(epoch))
    return epoch
end

local function is_there(epoch, owner) return call('HGET', key_of(epoch), 'owner') == owner end

asked['open'] = function(format)
    if call('HSETNX', P .. 'meta', 'format', format) == 1 then call('HSET', P .. 'parts', 0, 0) end
    return call('HGET', P .. 'meta', 'format')
end

asked['claim'] = function(owner)
    for _, epoch in ipairs(all()) do finish(tonumber(epoch)) end
    local epoch = begin(owner, 1)
    hand_over(nil, epoch)
    return epoch
end

asked['join'] = function(owner)
    for _, epoch in ipairs(all()) do
        if call('HGET', key_of(epoch), 'alone') == '1' then finish(tonumber(epoch)) end
    end
    return begin(owner, 0)
end

asked['renew'] = function(epoch, owner, ttl_ms)
    if not is_there(epoch, owner) then return false end
    local now = now_ms()
    call('HSET', key_of(epoch), 'seen', text(now))
    for _, each in ipairs(all()) do
        if each ~= text(epoch) then
            local found = call('HMGET', key_of(each), 'alone', 'seen')
            if found[1] == '0' and now - found[2] >= ttl_ms then
                finish(tonumber(each))
            elseif found[2] - now > ttl_ms then -- seen before the clock was set back: another while from now
                call('HSET', key_of(each), 'seen', text(now))
            end
        end
    end
    return { all(), call('HGETALL', P .. 'parts') }
end

asked['take'] = function(epoch, owner, partitions)
    if not is_there(epoch, owner) then return false end
    local mine = {}
    for _, each in ipairs(partitions) do
        local of = call('HGET', P .. 'parts', each)
        if of == '0' then call('HSET', P .. 'parts', each, text(epoch)) end
        if of == '0' or of == text(epoch) then mine[#mine + 1] = each end
    end
    return mine
end

asked['give'] = function(epoch, owner, partitions)
    if not is_there(epoch, owner) then return false end
    for _, each in ipairs(partitions) do
        if call('HGET', P .. 'parts', each) == text(epoch) then call('HSET', P .. 'parts', each, 0) end
    end
    return 1
end

asked['leave'] = function(epoch, owner)
    if is_there(epoch, owner) then finish(epoch) end
    return 1
end

asked['divide'] = function(epoch, owner, partitions)
    if not is_there(epoch, owner) then return false end
    if call('HGET', key_of(epoch), 'alone') ~= '1' then return 'several' end
    local known = call('HLEN', P .. 'parts')
    if partitions < known then return 'have ' .. known end
    for each = known, partitions - 1 do call('HSET', P .. 'parts', each, text(epoch)) end
    return 1
end

asked['hold'] = function(epoch, owner, wishes)
    if not is_there(epoch, owner) then return false end
    local answers = {}
    for index, wish in ipairs(wishes) do
        local key, limit, wanted_held, wanted = unpack(wish)
        local others_held, wanting, short, starving = 0, 0, 0, 0
        local known = call('HGETALL', key)
        for at = 1, #known, 2 do
            local held, wants = string.match(known[at + 1], '^(%d+):(%d+)$')
            held, wants = tonumber(held), tonumber(wants)
            if known[at] == text(epoch) then
                -- one's own: it is set below
            elseif call('EXISTS', key_of(known[at])) == 0 then
                call('HDEL', key, known[at])
            else
                others_held = others_held + held
                if wants > 0 then wanting = wanting + 1 end
                if wants > held then short = short + 1 end
                if wants > 0 and held == 0 then starving = starving + 1 end
            end
        end
        local mine = math.max(0, math.min(wanted_held, limit - others_held))
        if mine > 0 or wanted > 0 then
            call('HSET', key, text(epoch), text(mine) .. ':' .. text(wanted))
        else
            call('HDEL', key, text(epoch))
        end
        answers[index] = { mine, wanting, short, starving }
    end
    return answers
end

-- Timers of some queues that stand after a place, by binary search: ids of what is due at one moment are in their order.
asked['due'] = function(queues, due, id, limit)
    local found = {}
    for index, queue in ipairs(queues) do
        local low, high = 0, call('ZCARD', queue)
        while low < high do
            local middle = math.floor((low + high) / 2)
            local at = call('ZRANGE', queue, middle, middle, 'WITHSCORES')
            local score = tonumber(at[2])
            if score < due or (score == due and at[1] <= id) then low = middle + 1 else high = middle end
        end
        found[index] = call('ZRANGE', queue, low, low + limit - 1, 'WITHSCORES')
    end
    return found
end

-- A copy of the whole store under another prefix, as it is now, which goes by itself.
asked['copy'] = function(pattern, to, ttl_s)
    local keys = call('KEYS', pattern)
    for _, key in ipairs(keys) do
        local copy = to .. string.sub(key, #P + 1)
        call('COPY', key, copy)
        call('EXPIRE', copy, ttl_s)
    end
    return #keys
end

return asked[ARGV[1]](unpack(cmsgpack.unpack(ARGV[2])))
