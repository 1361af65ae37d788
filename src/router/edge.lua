-- The entry for requests from outside: the host says the environment, headers from outside do not.
-- Comes after members.lua.

local DOMAIN = "@DOMAIN@"

-- The members that name no environment.
local function others(baggage)
  local kept = {}
  for member in baggage:gmatch("[^,]+") do
    if not value_of(member) and trimmed(member) ~= "" then
      kept[#kept + 1] = member
    end
  end
  return table.concat(kept, ",")
end

-- true: the base. A name: that environment. nil: neither.
local function meant(authority)
  local host = authority:lower():gsub(":%d*$", ""):gsub("%.$", "")
  if host == DOMAIN then
    return true
  end
  local rest = #host - #DOMAIN
  if rest > 1 and host:sub(rest) == "." .. DOMAIN then
    local env = host:sub(1, rest - 1)
    return label(env) and env or nil
  end
  return nil
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local baggage = headers:get("baggage")
  if baggage and baggage:find(KEY, 1, true) then
    local kept = others(baggage)
    if kept == "" then
      headers:remove("baggage")
      baggage = nil
    elseif kept ~= baggage then
      headers:replace("baggage", kept)
      baggage = kept
    end
  end
  if headers:get(HEADER) then
    headers:remove(HEADER)
  end

  local env = meant(headers:get(":authority") or "")
  if not env then
    handle:respond(
      { [":status"] = "404", ["content-type"] = "text/plain" },
      "dev: this address answers for the hosts " .. DOMAIN .. " and <environment>." .. DOMAIN .. "\n"
    )
  elseif env ~= true then
    local member = KEY .. "=" .. env
    headers:replace("baggage", baggage and baggage .. "," .. member or member)
    headers:replace(HEADER, env)
  end
end
