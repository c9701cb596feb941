-- SPDX-License-Identifier: MIT
-- requests - the request that wrk sends, by WRK_KIND and WRK_PIPELINE; one JSON line at the end.
local kind = os.getenv("WRK_KIND") or "get"
if kind == "post" then
  wrk.method = "POST"
  wrk.body = string.rep("b", 16384)
  wrk.headers["Content-Type"] = "application/octet-stream"
elseif kind == "browser" then -- 8 headers, about 700 bytes
  local headers = wrk.headers
  headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    .. "Chrome/126.0.0.0 Safari/537.36"
  headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,"
    .. "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
  headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
  headers["Accept-Language"] = "en-GB,en;q=0.9,de;q=0.8,ca;q=0.7"
  headers["Cookie"] = "session=" .. string.rep("a1b2c3d4", 20)
    .. "; theme=dark; _ga=GA1.1.1234567890.1718000000"
  headers["Referer"] = "http://127.0.0.1/some/previous/page.html?query=string"
  headers["Cache-Control"] = "max-age=0"
elseif kind == "close" then
  wrk.headers["Connection"] = "close"
end
local depth = tonumber(os.getenv("WRK_PIPELINE") or "1")
if depth > 1 then
  local batch
  function init()
    local all = {}
    for index = 1, depth do all[index] = wrk.format() end
    batch = table.concat(all)
  end
  function request() return batch end
end
function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'JSON {"requests":%d,"us":%d,"errors":%d,"refused":%d,"p50":%d,"p99":%d}\n', summary.requests,
    summary.duration, e.connect + e.read + e.write + e.timeout, e.status, latency:percentile(50),
    latency:percentile(99)))
end
