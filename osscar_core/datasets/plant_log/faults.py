"""What goes wrong with machines, and why.

The decision hidden here: the causal knowledge behind every report. A fault has a sign, a
reading that moves, a cause with a root, a repair with a cure for the root, and what
happens if nobody acts; a report tells parts of that chain, always of one and the same fault.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can go wrong with one kind of machine.

    Attributes:
        machine: Kind of machine.
        sign: What is noticed, a noun phrase.
        trace: A second thing noticed, a clause.
        quantity: Which reading moves; a key of `osscar_core.datasets.plant_log.plants.UNITS`.
        normal: That reading on a sound machine, in the unit of plant 1.
        faulty: The same with the fault.
        cause: What was wrong, a noun phrase.
        root: Why that could happen, a clause in the past.
        repair: Verb and object of what mends it.
        cure: Verb and object of what removes the root.
        part: The spare part it takes, singular, without an article.
        stopgap: Verb and object of what helps until then.
        risk: What happens otherwise, a noun phrase.
        lesson: What to do from now on, verb and object.
    """

    machine: str
    sign: str
    trace: str
    quantity: str
    normal: float
    faulty: float
    cause: str
    root: str
    repair: tuple[str, str]
    cure: tuple[str, str]
    part: str
    stopgap: tuple[str, str]
    risk: str
    lesson: tuple[str, str]


VERBS = {
    "add": ("added", "adding"),
    "adjust": ("adjusted", "adjusting"),
    "align": ("aligned", "aligning"),
    "bleed": ("bled", "bleeding"),
    "brush": ("brushed", "brushing"),
    "change": ("changed", "changing"),
    "check": ("checked", "checking"),
    "clean": ("cleaned", "cleaning"),
    "clear": ("cleared", "clearing"),
    "close": ("closed", "closing"),
    "cover": ("covered", "covering"),
    "drain": ("drained", "draining"),
    "fit": ("fitted", "fitting"),
    "flush": ("flushed", "flushing"),
    "grease": ("greased", "greasing"),
    "limit": ("limited", "limiting"),
    "lower": ("lowered", "lowering"),
    "measure": ("measured", "measuring"),
    "move": ("moved", "moving"),
    "open": ("opened", "opening"),
    "order": ("ordered", "ordering"),
    "patch": ("patched", "patching"),
    "put": ("put", "putting"),
    "raise": ("raised", "raising"),
    "refill": ("refilled", "refilling"),
    "repair": ("repaired", "repairing"),
    "replace": ("replaced", "replacing"),
    "reset": ("reset", "resetting"),
    "retension": ("retensioned", "retensioning"),
    "reverse": ("reversed", "reversing"),
    "route": ("routed", "routing"),
    "seal": ("sealed", "sealing"),
    "slow": ("slowed", "slowing"),
    "swap": ("swapped", "swapping"),
    "test": ("tested", "testing"),
    "tighten": ("tightened", "tightening"),
    "turn": ("turned", "turning"),
    "wrap": ("wrapped", "wrapping"),
}
"""Past and present participle of every verb used above."""


def past(action: tuple[str, str]) -> str:
    """Return an action in the past: ``replaced the seal``."""
    return f"{VERBS[action[0]][0]} {action[1]}"


def gerund(action: tuple[str, str]) -> str:
    """Return an action as a noun: ``replacing the seal``."""
    return f"{VERBS[action[0]][1]} {action[1]}"


def plain(action: tuple[str, str]) -> str:
    """Return an action as an instruction: ``replace the seal``."""
    return f"{action[0]} {action[1]}"


FAULTS = (
    Fault(
        "pump", "a steady drip under the seal housing", "the floor below it was wet again",
        "pressure", 4.2, 3.1, "a worn mechanical seal",
        "the flush water had been shut off since the last cleaning",
        ("replace", "the mechanical seal"), ("open", "the flush water again"), "mechanical seal",
        ("tighten", "the gland by half a turn"), "a dry-running pump",
        ("put", "the flush water on the start-up list"),
    ),
    Fault(
        "pump", "a rattle like gravel in the casing", "the flow kept hunting",
        "flow", 320.0, 215.0, "cavitation at the impeller",
        "the suction strainer was full of fibres",
        ("replace", "the pitted impeller"), ("clean", "the suction strainer"), "impeller",
        ("slow", "the pump to three quarters of its speed"), "a broken impeller",
        ("clean", "the strainer every Monday"),
    ),
    Fault(
        "pump", "a humming coupling guard", "the base plate was warm to the hand",
        "vibration", 2.1, 7.4, "a coupling out of line",
        "two foundation bolts had worked loose",
        ("align", "the coupling with the laser"), ("tighten", "the foundation bolts"),
        "coupling insert", ("lower", "the speed by a fifth"), "a broken shaft",
        ("check", "the foundation bolts after every alignment"),
    ),
    Fault(
        "compressor", "hot discharge air", "the fan behind the cooler ran without a pause",
        "temperature", 82.0, 108.0, "a cooler choked with dust",
        "the filter mat in the intake had been left out",
        ("replace", "the blocked cooler element"), ("fit", "a new filter mat"), "filter mat",
        ("open", "the side doors of the housing"), "a trip on high temperature",
        ("change", "the filter mat every four weeks"),
    ),
    Fault(
        "compressor", "a slow loss of pressure in the air network", "it loaded every two minutes",
        "pressure", 7.2, 5.9, "a leaking check valve",
        "rust from the old receiver had scored its seat",
        ("replace", "the check valve"), ("flush", "the receiver"), "check valve",
        ("put", "the standby compressor on line"), "a stop of every valve in the hall",
        ("drain", "the receiver once a shift"),
    ),
    Fault(
        "compressor", "oil mist at the exhaust", "the oil level had fallen below the glass",
        "level", 78.0, 31.0, "a torn oil separator",
        "it had been in service for twice its rated hours",
        ("replace", "the oil separator"), ("refill", "the oil"), "oil separator",
        ("refill", "the oil to the lower mark"), "oil in the air of the whole line",
        ("change", "the separator by the hour counter"),
    ),
    Fault(
        "conveyor", "a belt that ran off to one side", "the edge was already fraying",
        "gap", 12.0, 3.0, "a seized return roller",
        "cartons had been dragging on its cover",
        ("replace", "the return roller"), ("move", "the side guide outwards"), "return roller",
        ("adjust", "the tail pulley by eye"), "a torn belt",
        ("check", "the side guides at every format change"),
    ),
    Fault(
        "conveyor", "jerks whenever the belt started", "the motor took three attempts",
        "current", 6.8, 11.2, "a slack drive chain",
        "the tensioner had lost its locking nut",
        ("replace", "the drive chain"), ("fit", "a new locking nut"), "drive chain",
        ("retension", "the chain by hand"), "a jammed transfer",
        ("check", "the chain tension on the Friday round"),
    ),
    Fault(
        "conveyor", "a squeal from the head drum", "the belt slipped under load",
        "speed", 48.0, 37.0, "a glazed drum lagging",
        "oil had dripped on it from the gearbox above",
        ("replace", "the drum lagging"), ("seal", "the gearbox flange"), "set of lagging strips",
        ("clean", "the drum with solvent"), "a belt worn through at the drum",
        ("measure", "the belt speed once a week"),
    ),
    Fault(
        "filler", "short fills on two heads", "the checkweigher threw out every tenth bottle",
        "weight", 502.0, 488.0, "a sticking fill valve",
        "syrup had dried on its stem over the weekend",
        ("replace", "the valve stem"), ("flush", "all heads with hot water"), "valve stem",
        ("close", "the two heads"), "a recall of underfilled bottles",
        ("flush", "the heads before every stop of more than an hour"),
    ),
    Fault(
        "filler", "foam over the necks of the bottles", "the rinse could not keep up",
        "temperature", 4.0, 9.5, "product that was too warm",
        "the glycol valve of the buffer tank was stuck half open",
        ("replace", "the glycol valve"), ("reset", "the temperature loop"), "glycol valve",
        ("lower", "the filling speed to 200 bottles a minute"), "sticky bottles at the labeller",
        ("test", "the glycol valve at each sanitation"),
    ),
    Fault(
        "capper", "caps that could be turned by hand", "the torque chart showed a falling line",
        "torque", 1.9, 1.1, "a worn clutch in the capping head",
        "the magnets had been set with the wrong shim",
        ("replace", "the clutch"), ("adjust", "all heads with the torque gauge"), "clutch",
        ("raise", "the head pressure a little"), "leaking bottles in the pallets",
        ("measure", "the torque of five caps an hour"),
    ),
    Fault(
        "labeller", "labels with a wrinkle on the left side", "the glue smelt burnt",
        "temperature", 145.0, 168.0, "a scorched glue roller",
        "the thermostat had drifted since its last calibration",
        ("replace", "the glue roller"), ("swap", "the thermostat"), "thermostat",
        ("lower", "the set point by hand"), "a pallet of unlabelled bottles",
        ("check", "the glue temperature with a probe"),
    ),
    Fault(
        "chiller", "ice on the suction pipe", "the product temperature crept up",
        "temperature", 2.0, 6.8, "a loss of refrigerant",
        "a flare nut had cracked under vibration",
        ("repair", "the flare joint"), ("fit", "a pipe clamp beside it"), "flare nut",
        ("move", "the load to the second circuit"), "warm tanks by the evening",
        ("check", "the pipe clamps with every leak test"),
    ),
    Fault(
        "chiller", "a loud fan on the condenser", "one blade was chipped",
        "vibration", 1.8, 5.6, "an unbalanced fan wheel",
        "a loose cable tie had been sucked in",
        ("replace", "the fan wheel"), ("cover", "the intake with a mesh"), "fan wheel",
        ("limit", "the fan to half speed"), "a high-pressure trip on the first hot day",
        ("check", "the roof for loose parts before summer"),
    ),
    Fault(
        "boiler", "a flame that went out twice", "the flue gas smelt of unburnt gas",
        "pressure", 8.0, 6.3, "a fouled ignition electrode",
        "the combustion air damper had been set too lean",
        ("replace", "the ignition electrode"), ("adjust", "the air damper"),
        "ignition electrode", ("clean", "the electrode with a wire brush"),
        "a cold line on Monday morning", ("measure", "the flue gas every quarter"),
    ),
    Fault(
        "boiler", "water hammer in the steam main", "the gauge glass was cloudy",
        "level", 55.0, 82.0, "carry-over of boiler water",
        "the blowdown timer had been switched to manual",
        ("replace", "the damaged steam trap"), ("put", "the blowdown back on its timer"),
        "steam trap", ("open", "the drain of the main by hand"), "a burst gasket",
        ("check", "the conductivity at the start of the shift"),
    ),
    Fault(
        "press", "a ram that sank while it should hold", "the last parts came out too thin",
        "pressure", 210.0, 172.0, "a leaking cylinder seal",
        "chips had got past the torn wiper",
        ("replace", "the cylinder seal"), ("fit", "a new wiper"), "cylinder seal",
        ("raise", "the holding pressure"), "scrap from every stroke",
        ("clean", "the rod before the wiper freezes"),
    ),
    Fault(
        "press", "burrs on the lower edge of the blanks", "the stroke sounded harder than usual",
        "gap", 0.12, 0.31, "a chipped cutting edge",
        "a double sheet had gone through on the night shift",
        ("replace", "the lower die"), ("adjust", "the double-sheet sensor"), "lower die",
        ("slow", "the stroke rate"), "a cracked punch",
        ("test", "the double-sheet sensor at every coil change"),
    ),
    Fault(
        "press", "oil under the hydraulic unit", "the tank had lost two fingers of oil",
        "temperature", 48.0, 67.0, "a chafed hose",
        "its clamp had been left off after the last repair",
        ("replace", "the hose"), ("fit", "the missing clamp"), "hydraulic hose",
        ("wrap", "the hose with tape"), "a fire on the hot side of the tool",
        ("check", "all clamps before the guard goes back on"),
    ),
    Fault(
        "lathe", "chatter marks on the shafts", "the spindle sang at high speed",
        "vibration", 1.2, 4.9, "a worn spindle bearing",
        "coolant had washed the grease out",
        ("replace", "the front spindle bearing"), ("replace", "the labyrinth seal"),
        "spindle bearing", ("lower", "the cutting speed by a third"), "a scrapped spindle",
        ("measure", "the spindle temperature every morning"),
    ),
    Fault(
        "lathe", "diameters that grew from part to part", "the offset had been moved four times",
        "gap", 0.01, 0.06, "play in the cross slide",
        "the gib screw had backed out",
        ("replace", "the gib"), ("tighten", "the gib screw with sealant"), "gib",
        ("adjust", "the offset after every tenth part"), "a whole batch out of tolerance",
        ("check", "the slide with a dial gauge every Monday"),
    ),
    Fault(
        "lathe", "smoke at the tool", "the chips had turned blue",
        "flow", 18.0, 6.0, "a starved coolant nozzle",
        "fine chips had blocked the pump basket",
        ("replace", "the coolant nozzle"), ("clean", "the pump basket"), "coolant nozzle",
        ("slow", "the feed"), "a burnt insert in every part",
        ("clean", "the basket at the end of the shift"),
    ),
    Fault(
        "furnace", "a cold corner in the second zone", "the bars left it with a dull stripe",
        "temperature", 940.0, 865.0, "a broken heating element",
        "its holder had sagged and touched the wall",
        ("replace", "the heating element"), ("repair", "the holder"), "heating element",
        ("slow", "the walking beam"), "soft bars in the whole batch",
        ("measure", "the current of each element once a month"),
    ),
    Fault(
        "furnace", "flames at the charging door", "the draught gauge stood above zero",
        "level", 40.0, 85.0, "a jammed flue damper",
        "the actuator rod had bent in the heat",
        ("replace", "the actuator rod"), ("move", "the actuator behind the shield"),
        "actuator rod", ("open", "the damper by hand"), "burnt door seals",
        ("turn", "the damper through its range every week"),
    ),
    Fault(
        "crane", "a load that crept down on the hook", "the brake squealed when it closed",
        "gap", 0.6, 1.9, "worn brake linings",
        "the brake magnet had been opening only half way",
        ("replace", "the brake linings"), ("adjust", "the magnet gap"), "set of brake linings",
        ("limit", "the crane to half its load"), "a dropped load",
        ("measure", "the brake gap every month"),
    ),
    Fault(
        "crane", "a trolley that stopped in mid-travel", "sparks had been seen on the rail",
        "current", 14.0, 23.0, "a burnt current collector",
        "a rail joint stood proud by a few millimetres",
        ("replace", "the current collector"), ("align", "the rail joint"), "current collector",
        ("move", "the load with the second crane"), "a blocked loading bay",
        ("check", "the rail joints with the yearly test"),
    ),
    Fault(
        "saw", "cuts that ran out of square", "the blade wandered towards the end",
        "speed", 70.0, 52.0, "a dull blade",
        "the brush that clears the teeth had worn away",
        ("replace", "the blade"), ("replace", "the chip brush"), "saw blade",
        ("lower", "the feed by half"), "a blade torn at the weld",
        ("change", "the chip brush with every third blade"),
    ),
    Fault(
        "agitator", "a knock once in every turn", "the seal pot level went down",
        "vibration", 2.4, 8.8, "a bent shaft",
        "it had been started against settled solids",
        ("replace", "the shaft"), ("add", "a start interlock"), "agitator shaft",
        ("lower", "the speed to the lowest step"), "a torn vessel lining",
        ("flush", "the vessel before a restart"),
    ),
    Fault(
        "agitator", "a gearbox too hot to touch", "the oil was black",
        "temperature", 61.0, 94.0, "a failed oil pump",
        "its drive pin had sheared at the last cold start",
        ("replace", "the oil pump"), ("fit", "an oil heater"), "oil pump",
        ("put", "a fan beside the gearbox"), "a gearbox beyond repair",
        ("check", "the oil pressure before the first batch"),
    ),
    Fault(
        "dryer", "damp product at the outlet", "the exhaust ran cooler than the inlet said",
        "temperature", 128.0, 101.0, "a slack steam joint",
        "the graphite ring had worn past its mark",
        ("replace", "the graphite ring"), ("drain", "the condensate from the cylinder"),
        "graphite ring", ("slow", "the feed by a quarter"), "a rejected batch",
        ("measure", "the ring with a feeler at each shutdown"),
    ),
    Fault(
        "dryer", "dust over the roof of the hall", "the bag house drew more than its share",
        "pressure", 0.9, 2.1, "two torn filter bags",
        "a cage wire had sprung out",
        ("replace", "the filter bags"), ("replace", "the cage"), "filter bag",
        ("lower", "the fan speed"), "a notice from the authorities",
        ("check", "the bag house with the dust meter"),
    ),
    Fault(
        "fan", "a beat in the sound of the duct", "the flange bolts were loose to the hand",
        "vibration", 2.8, 9.6, "caked dust on the wheel",
        "the spray bar upstream had been left on",
        ("clean", "the wheel"), ("close", "the spray bar"), "set of flange bolts",
        ("lower", "the speed below the beat"), "a cracked housing",
        ("check", "the spray bar at every stop"),
    ),
    Fault(
        "valve", "a flow that would not stop", "the tank rose with the valve shut",
        "flow", 2.0, 41.0, "a cut valve seat",
        "scale from the old line had lodged in it",
        ("replace", "the seat ring"), ("flush", "the line"), "seat ring",
        ("close", "the hand valve upstream"), "an overfilled tank",
        ("flush", "new pipework before it is joined"),
    ),
    Fault(
        "valve", "a valve that answered late", "the loop swung by a tenth",
        "pressure", 4.0, 2.6, "a leaking diaphragm",
        "instrument air had carried water all winter",
        ("replace", "the diaphragm"), ("drain", "the air header"), "diaphragm",
        ("put", "the loop on manual"), "a batch outside its limits",
        ("drain", "the header at the start of the shift"),
    ),
    Fault(
        "centrifuge", "a shudder on the way through resonance", "the cake was thick on one side",
        "vibration", 3.5, 11.5, "an uneven feed",
        "the feed pipe was half blocked",
        ("replace", "the feed pipe"), ("flush", "the basket"), "feed pipe",
        ("lower", "the fill level"), "a trip in the middle of a batch",
        ("flush", "the feed pipe after every campaign"),
    ),
    Fault(
        "refiner", "stock that stayed coarse", "the load had dropped without a reason",
        "current", 310.0, 240.0, "worn refiner plates",
        "a bolt had passed through with the chips",
        ("replace", "the plates"), ("clean", "the magnet before the feed screw"),
        "set of refiner plates", ("close", "the gap a little"), "weak sheets for a whole tambour",
        ("clean", "the magnet once a shift"),
    ),
)  # fmt: skip
"""Every fault there is."""
