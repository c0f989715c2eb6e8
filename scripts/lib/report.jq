# What the scripts say about replies (JSON Lines of the contract's replies, read with --slurp).

# The value below which the fraction `q` of a sorted list lies (nearest rank).
def quantile(q): sort | if length == 0 then null else .[([((length * q) | ceil) - 1, 0] | max)] end;

# Two decimals at most.
def short: if . == null then "–" else (. * 100 | round / 100 | tostring) end;

def percent(part; whole): if whole == 0 then "–" else "\(part * 1000 / whole | round / 10) %" end;

# A reply as a person reads it.
def shown($question):
    "  Q  \($question)\(if .agent == null then "" else "  (\(.agent))" end)\n" +
    (if .status == "succeeded" then
        "  A  \(.answer | split("\n") | map(select(. != "")) | (if length > 6 then .[:6] + ["…"] else . end) | join("\n     "))\n" +
        (if (.sources // []) == [] then "     (no sources)\n"
         else ((.sources | map("     – \(.id)  \(.score | short)") | join("\n")) + "\n") end)
     else "  !  \(.status): \(.error.code): \(.error.message)\n" end);
