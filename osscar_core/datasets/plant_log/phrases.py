"""Turns of phrase, one set a style.

The decision hidden here: how a person of each plant puts the same facts. Every list holds
sentences for one step of the story; names in braces are filled in by
`osscar_core.datasets.plant_log.reports`.
"""

from __future__ import annotations

PROSE = {
    "notice": (
        "At {noticed} {finder} noticed {sign} on {machine}, and {trace}.",
        "{finder} reported {sign} on {machine} at {noticed}; {trace}.",
        (
            "Shortly before {noticed} {machine} began to worry us: {sign}. {finder} saw it first "
            "and added that {trace}."
        ),
        "The first sign of trouble came at {noticed}, when {finder} found {sign} on {machine}.",
        "During the walk round at {noticed} {finder} came across {sign} on {machine}, and {trace}.",
    ),
    "read": (
        "The {quantity} stood at {reading} instead of the usual {usual}.",
        "We measured {reading} where {usual} is normal, so it was not just an impression.",
        "A check of the {quantity} gave {reading}; a sound machine shows about {usual}.",
        "According to the panel the {quantity} had moved from {usual} to {reading}.",
    ),
    "stop": (
        "Because that can end in {risk}, {lead} had the machine stopped at {stopped}.",
        "To avoid {risk}, {machine} was stopped at {stopped} and locked out.",
        "{lead} decided not to wait for {risk} and stopped it at {stopped}.",
        "It was taken out of service at {stopped}, since {risk} would have cost far more.",
    ),
    "find": (
        "{fixer} opened it up and found {cause}.",
        "{fixer} took a closer look: the reason was {cause}.",
        "Once the guard was off, {fixer} could see {cause}.",
        "It took {fixer} a quarter of an hour to trace it to {cause}.",
    ),
    "root": (
        "This had come about because {root}.",
        "The deeper cause is that {root}.",
        "As it turned out, {root}, and the rest followed from that.",
        "It would not have happened if it were not that {root}.",
    ),
    "fix": (
        "{fixer} {repaired} and {cured}, so that it does not come back.",
        "{fixer} {repaired}; after that {helper} {cured}.",
        "Together with {helper}, {fixer} {repaired} and then {cured}.",
        "The remedy was {repairing}, followed by {curing}.",
    ),
    "prove": (
        "At {running} it ran again, and the {quantity} was back at {after}.",
        "It was restarted at {running}. With {after} the {quantity} is where it should be.",
        (
            "After the restart at {running} we read {after}, and there was no more sign of the "
            "trouble."
        ),
        (
            "The machine had stood for {minutes} minutes when it was started at {running}; the "
            "{quantity} settled at {after}."
        ),
    ),
    "store": (
        "The {part} came from {store}, where {left}.",
        "We used the {part} from {store}; {left}.",
        "For the {part} we went to {store}: {left}.",
    ),
    "wait": (
        "There was no {part} in {store}, so {fixer} {stopgapped} as a stopgap.",
        (
            "Since {store} had run out of the {part}, all that {fixer} could do was {stopgap}, "
            "which helped for now."
        ),
        "The {part} had to be ordered. Until it comes, {fixer} {stopgapped}.",
    ),
    "limp": (
        (
            "The machine has been running again since {running}, with the {quantity} at {after}, "
            "which is better but not good."
        ),
        (
            "With that it could be restarted at {running}. The {quantity} came down only part of "
            "the way, to {after}."
        ),
        "From {running} on it ran again at {after}; it needs to be watched.",
    ),
    "open": (
        "The {part} is expected in {days} days; then somebody has to {repair} and {cure}.",
        "Still to do on {machine}: {repair} as soon as the part arrives, in about {days} days.",
        (
            "Please keep an eye on the {quantity} of {machine} and stop it if it reaches {reading} "
            "again. The {part} comes in {days} days."
        ),
    ),
    "lesson": (
        "From now on we should {lesson}.",
        "{lead} asks everybody to {lesson}, because {root}.",
        "To keep this from happening again, we will {lesson}.",
        "What we take from it: {lesson}.",
    ),
    "count": (
        (
            "We made {made} of {planned} planned {units} of {product}; the {minutes} minutes of "
            "standstill cost us {lost}."
        ),
        (
            "Output was {made} {units} of {product} against a plan of {planned}. The difference of "
            "{lost} comes from the {minutes} minutes that we lost."
        ),
        (
            "Instead of {planned} {units} of {product} we packed {made}, {lost} fewer, because of "
            "{minutes} minutes of downtime."
        ),
    ),
    "quiet": (
        "Apart from that the shift was quiet.",
        "Everything else ran as it should.",
        "There was nothing else to report, and nobody was hurt.",
        "The rest of the line ran without a stop.",
        "Cleaning was finished on time, and the samples were in order.",
    ),
    "perfect": (
        "A quiet shift: no stops, and {made} {units} of {product}, exactly as planned.",
        (
            "Nothing to report. All machines ran, and we made the {planned} {units} of {product} "
            "that were planned."
        ),
    ),
}

TERSE = {
    "notice": (
        "{noticed} {machine}: {sign}. Reported by {finder}.",
        "{noticed} {finder} called in {sign} on {machine}.",
        "{noticed} {machine} showed {sign}; {trace} ({finder}).",
        "{noticed} Operator {finder} noted {sign} at {machine}.",
    ),
    "read": (
        "Reading: {quantity} {reading}, normal {usual}.",
        "Measured {quantity} at {reading} (should be {usual}).",
        "{Quantity} {reading} against {usual} on a good machine.",
    ),
    "stop": (
        "{stopped} Stopped and tagged out by {lead}. Risk: {risk}.",
        "{stopped} {machine} down. Did not want to risk {risk}.",
        "{stopped} Shut down to prevent {risk}.",
    ),
    "find": (
        "Found {cause}.",
        "{fixer} opened it up. Found {cause}.",
        "Diagnosis ({fixer}): {cause}.",
        "Cause: {cause}.",
    ),
    "root": (
        "Root cause: {root}.",
        "Why: {root}.",
        "Reason it happened: {root}.",
    ),
    "fix": (
        "{Repaired}. {Cured}.",
        "{fixer} {repaired}. {helper} {cured}.",
        "Fix: {repaired}, then {cured}.",
    ),
    "prove": (
        "{running} Back in production, {quantity} {after}. Down {minutes} min.",
        "{running} Restarted. {Quantity} now {after}, OK. {minutes} min lost.",
        "{running} Test run good: {after}. Total downtime {minutes} min.",
    ),
    "store": (
        "1 {part} taken from {store}, {left}.",
        "Used 1 {part} ({store}; {left}).",
    ),
    "wait": (
        "No {part} in {store}. {fixer} {stopgapped} for now.",
        "{part} out of stock at {store}, on order. Temporary: {stopgapped}.",
    ),
    "limp": (
        "{running} Running again at reduced confidence, {quantity} {after}. Down {minutes} min.",
        "{running} Restarted, {quantity} {after}: improved, not fixed. {minutes} min lost.",
    ),
    "open": (
        "OPEN: {repair} on {machine} when the part arrives ({days} days).",
        "OPEN: {machine}. {Part} due in {days} days; then {repair} and {cure}.",
        "OPEN: watch {quantity} on {machine}. Stop at {reading}. {Part} due in {days} days.",
    ),
    "lesson": (
        "Action: {lesson}.",
        "Going forward: {lesson}.",
        "Action for all crews: {lesson}.",
    ),
    "count": (
        "{product}: {made} of {planned} {units}, short {lost} ({minutes} min down).",
        "Output {made}/{planned} {units} ({product}). Lost {lost} to {minutes} min of downtime.",
    ),
    "quiet": (
        "No injuries. No other stops.",
        "Housekeeping done. No near misses.",
        "All other equipment normal.",
        "5S walk done, two findings closed.",
    ),
    "perfect": (
        "{product}: {made} of {planned} {units}. No downtime.",
        "Full run, {made} {units} of {product}, zero stops.",
    ),
}

TELEGRAM = {
    "notice": (
        "{machine} - {finder} reports {sign} {noticed}. also {trace}.",
        "{noticed}: {machine} bad order, {sign}.",
        "call from field {noticed}, {machine}: {sign} ({finder}).",
    ),
    "read": (
        "{quantity} {reading}, std {usual}.",
        "{quantity} trend {usual} > {reading}.",
        "DCS shows {reading} f. {quantity}, limit exceeded, std {usual}.",
    ),
    "stop": (
        "tripped by {lead} {stopped}, danger of {risk}.",
        "unit off {stopped}. reason: {risk} feared.",
        "isolated + drained {stopped}, else {risk}.",
    ),
    "find": (
        "{fixer} attended, found {cause}.",
        "opened. {cause} ({fixer}).",
        "defect = {cause}.",
    ),
    "root": (
        "origin: {root}.",
        "bec. {root}.",
        "note {root}, not on permit.",
    ),
    "fix": (
        "{repaired}, {cured}. {fixer} + {helper}.",
        "done: {repairing}; {curing}.",
        "{fixer} {repaired}. {cured} too.",
    ),
    "prove": (
        "on line {running}, {quantity} {after}. outage {minutes} min.",
        "handed back {running} w. {after}, accepted by {lead}. {minutes} min off.",
    ),
    "store": (
        "{part} ex {store}, {left}.",
        "drew 1 pc {part}, {store}, {left}.",
    ),
    "wait": (
        "{part} not held in {store}. provisional: {stopgapped}.",
        "nil stock {part}. {fixer} {stopgapped} as makeshift.",
    ),
    "limp": (
        "on line {running} w. restriction, {quantity} {after}. {minutes} min off.",
        "restarted {running}, {after}, under observation. outage {minutes} min.",
    ),
    "open": (
        "PENDING {machine}: {repair}, {part} ETA {days} d.",
        "PENDING: {part} f. {machine} ETA {days} d, then {repair} + {cure}.",
    ),
    "lesson": (
        "standing order: {lesson}.",
        "request: {lesson} (all shifts).",
    ),
    "count": (
        "{product} {made} / {planned} {units}, minus {lost}, outage {minutes} min.",
        "prod. {product}: {made} {units}, target {planned}. {lost} lost on {minutes} min.",
    ),
    "quiet": (
        "remainder normal.",
        "no LTI, no spill.",
        "effluent within permit.",
        "permits closed.",
    ),
    "perfect": (
        "{product} {made} / {planned} {units}, no outage.",
        "steady run, {made} {units} {product}.",
    ),
}
