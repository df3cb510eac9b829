"""The words of the planted data: names, things and places, and the frames of short queries that they fill."""

from __future__ import annotations

import random
import re

THINGS = """bookcase|armchair|kettle|toaster|lawnmower|wheelbarrow|duvet|mattress|lampshade|curtain rail|rug|mirror|
wardrobe|desk|bench|hammock|parasol|barbecue|greenhouse|trellis|sprinkler|hosepipe|watering can|spade|rake|
hedge trimmer|chainsaw|drill|sander|ladder|toolbox|workbench|paint roller|wallpaper|floor tiles|mixer tap|basin|
shower head|radiator|thermostat|smoke alarm|doorbell|padlock|letterbox|doormat|coat rack|shoe cabinet|umbrella stand|
sideboard|dresser|crib|high chair|pram|stroller|playpen|rocking horse|dollhouse|train set|kite|skateboard|bicycle|
helmet|tent|sleeping bag|rucksack|cool box|lantern|torch|compass|fishing rod|kayak|paddle|wetsuit|goggles|sledge|
ice skates|yoga mat|dumbbells|treadmill|rowing machine|trampoline|dartboard|chess set|jigsaw|telescope|microscope|
keyboard|monitor|printer|router|headphones|loudspeaker|turntable|guitar|violin|drum kit|piano stool|metronome|camera|
tripod|projector|tablet|charger|teapot|frying pan|saucepan|casserole|wok|cutlery set|carving knife|chopping board|
rolling pin|cake tin|blender|juicer|coffee grinder|espresso machine|wine rack|decanter|tumblers|dinner plates|
tablecloth|napkins|candlestick|vase|picture frame|wall clock|sewing machine|ironing board|laundry basket|
clothes horse|vacuum cleaner|mop|humidifier|fan heater|air purifier|electric blanket|bathrobe|bath towels|pillowcase|
bedspread|headboard|nightstand|aquarium|birdcage|dog basket|cat flap|rabbit hutch|weather station|sundial|wind chime|
compost bin|cold frame|pergola"""
MAKES = """walnut|oak|brass|ceramic|folding|cordless|wireless|striped|velvet|leather|linen|woollen|copper|bamboo|
enamel|vintage|crimson|teal|ivory|charcoal|navy|mustard|emerald|lilac|turquoise|compact|oversized|stackable|
adjustable|waterproof|insulated|quilted|embroidered|handmade|Danish|Japanese|Scottish|portable|rechargeable|solar|
retro|minimalist|rustic|glazed|marble|granite|rattan|pine|beech|steel|aluminium|chrome|frosted|padded|reclining|
lacquered|lightweight|heavy-duty|second-hand|limited-edition|child-sized|wall-mounted"""
CITIES = """Aberdeen|Antwerp|Athens|Bari|Basel|Belfast|Bergen|Bilbao|Bologna|Bordeaux|Bremen|Brno|Bruges|Cardiff|
Cologne|Copenhagen|Cork|Cracow|Dijon|Dresden|Dublin|Dundee|Edinburgh|Exeter|Florence|Galway|Gdansk|Geneva|Genoa|
Ghent|Glasgow|Granada|Graz|Grenoble|Hamburg|Hanover|Helsinki|Hull|Innsbruck|Inverness|Kiel|Kilkenny|Lausanne|Leeds|
Leipzig|Lille|Limerick|Linz|Lisbon|Liverpool|Ljubljana|Lublin|Lyon|Malaga|Malmö|Marseille|Milan|Munich|Nantes|Naples|
Newcastle|Nice|Norwich|Oporto|Oslo|Ostend|Oxford|Padua|Palermo|Perth|Pisa|Plymouth|Poznan|Prague|Reims|Rennes|Riga|
Rotterdam|Rouen|Salzburg|Seville|Sheffield|Siena|Sofia|Split|Stavanger|Stockholm|Strasbourg|Stuttgart|Swansea|
Tallinn|Tampere|Toulouse|Trieste|Trondheim|Turin|Uppsala|Utrecht|Valencia|Verona|Vienna|Vilnius|Warsaw|York|Zagreb|
Zurich"""
NAMES = """Aaron|Agnes|Aisha|Alasdair|Amara|Anneke|Anton|Beatriz|Bogdan|Brigid|Callum|Carmen|Cosima|Dagmar|Declan|
Delphine|Dmitri|Edith|Eleni|Emeka|Esther|Fabian|Farah|Fergus|Fiona|Gareth|Gertrude|Giulia|Goran|Hamid|Hanneke|
Harriet|Hiroshi|Ilse|Imogen|Ingrid|Ivan|Jacinta|Jerome|Joanna|Jorge|Kasia|Keiko|Kwame|Lachlan|Leila|Leopold|Lorenzo|
Magnus|Maeve|Malik|Marguerite|Matteo|Mehmet|Mirela|Mohan|Nadia|Nikolai|Noor|Odette|Olga|Omar|Oscar|Paloma|Pascal|
Petra|Priya|Quentin|Rafael|Ravi|Rhiannon|Rosalind|Rupert|Sabine|Samir|Saskia|Selma|Sinead|Soren|Stella|Tamsin|Tariq|
Theodora|Tobias|Ulrike|Umar|Valentina|Viktor|Wanda|Wilfred|Xenia|Yannick|Yusuf|Zainab|Zelda|Zoltan"""
KIN = """sister|brother|neighbour|landlord|flatmate|mother|father|uncle|aunt|daughter|son|cousin|grandmother|
colleague|builder|gardener|caretaker|godson|mother-in-law|choir|book club|bowling team|scout group|nursery|
allotment society"""
ROOMS = """kitchen|hallway|bathroom|attic|cellar|conservatory|nursery|guest room|study|garage|utility room|balcony|
terrace|front garden|back porch|summer house|caravan|narrowboat|studio flat|village hall|office canteen|staff room|
classroom"""
HARM = """a long crack down one side|two missing screws|a dent the size of a plate|a torn lining|
water stains all over it|a snapped hinge|chipped corners|scratches right across the front|a bent frame|
no instructions and half the bolts|a smell of burnt plastic|a leg shorter than the others|a shattered lid|
mould under the cover|the wrong plug on it|paint flaking off in sheets|a handle hanging by a thread|
glue dripping from every joint|a broken seal|frayed stitching"""
EVENTS = """wedding|christening|house-warming|retirement party|school fair|harvest supper|street party|
golden anniversary|exam week|camping trip|family reunion|theatre rehearsal|half marathon|charity auction|
housing inspection|concert|summer holiday|job interview|dinner on Friday|moving day|naming ceremony|carol service|
flower show|open day"""
DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
SHOPS = """Harbour Street|Mill Lane|Castle Square|Station Road|Abbey Gate|Canal Wharf|Orchard Park|Old Brewery|
Foundry Yard|Bishop's Row|Lark Hill|Weaver's Green|Tannery Court|Beacon Heath|Saltmarsh|Ferry Point|Kiln Corner|
Quarry Bank"""
REASONS = """I changed jobs|we split the household|the baby came early|my hours were cut|
the flat is smaller than we thought|I never open it|the colour clashes with everything|
I found the same cheaper elsewhere|my doctor told me to slow down|we are moving abroad|nobody in the family likes it|
it was a present I didn't want|the boxes keep piling up|I misread the measurements|the dog has chewed the last two|
my eyesight is getting worse|our roof needs mending first"""
FEELINGS = """I'm rather cross|no hurry at all|this is urgent|I've asked twice already|sorry to be a nuisance|
I'm at my wits' end|it's driving me mad|any hint would do|I can wait until the weekend|a short answer is enough|
I know it's a silly question|be gentle, I'm new here|that's the third time this year|
otherwise a lovely shop, mind you|I had hoped for better|forgive the typing, I'm on a train|no robots please|
let me know before lunch"""

LISTS = {
    "noun": THINGS, "make": MAKES, "city": CITIES, "name": NAMES, "kin": KIN, "room": ROOMS, "harm": HARM, "event": EVENTS,
    "day": DAYS, "month": MONTHS, "shop": SHOPS, "reason": REASONS, "feeling": FEELINGS,
}  # fmt: skip
FILL = {slot: [word.strip() for word in text.replace("\n", "").split("|")] for slot, text in LISTS.items()}

WHEN = """last {day}|on {n} {month}|{n} days ago|since {month}|the {day} before last|three weeks ago|
the day before yesterday|back in {month}|over the bank holiday|this {day} morning|around {n} {month}|
two {day}s running|late on {day}|a fortnight ago|in early {month}|all through {month}"""
OPENERS = """||||||||hello, |hi there - |good morning, |good evening. |quick question: |me again. |dear all, |
listen, |well, |okay so |erm, |excuse me, |{name} here. |writing for my {kin}: |on behalf of {name}: |from {city}: |
question from the {room}: """
CLOSERS = """|||||, {feeling}|. {feeling}|, it's for the {event} in {city}|. The {event} is {when}|
, {name} at {shop} had no idea|. {name} told me to write|, my {kin} {name} keeps asking|
. My {kin} wants it for the {room}|, we leave for {city} {when}|. Last time {name} from {shop} sorted it out|
, asking because of the {event}|, and the {room} looks bare without it|. I live in {city} and hardly come to {shop}|
, {name} and I can't agree on it|. I already rang {shop} {when}|, my {kin} is coming over {when}|
. Nobody at {shop} picked up {when}"""

QUERIES = {
    "delivery delay": """where is my {thing}, it should have come {when}?|
the courier still hasn't brought the {thing}|still waiting for the {thing} that was shipped {when}|
why does my parcel with the {thing} sit in the {city} depot?|tracking says the {thing} has been in transit {when}|
the {thing} is late again|courier promised the {thing} for {when} and never showed up|
no sign of the {thing}, the van went past {when}|how much longer until the {thing} reaches {city}?|
my {thing} got stuck on its way to {city}, when will it arrive?""",
    "refund request": """I want my money back for the {thing}|please refund the {thing}, {reason}|
returned the {thing} {when} and the money isn't in my account|how long does a refund for a {thing} take?|
you owe me the money for the {thing} I sent back {when}|can you reimburse the {thing}? {reason}|
the refund of my {thing} was smaller than I paid|{reason}, so I'd like a refund on the {thing}|
my bank shows no refund for the {thing} returned to {shop}|reimbursement for the {thing}, please""",
    "damaged on arrival": """the {thing} came out of its box with {harm}|
unpacked the {thing} {when} and found {harm}|my new {thing} is broken, it has {harm}|
{harm} - is that how you pack a {thing}?|the {thing} was damaged when it got here: {harm}|
opened the carton and the {thing} had {harm}|there is {harm} on the {thing}, straight out of the packaging|
arrived broken: {thing} with {harm}|the {thing} I unwrapped {when} has {harm}, can you replace the faulty piece?""",
    "change of address": """we moved to {city} {when}, please update our address|
how do I change the address in my profile to {city}?|my postcode is wrong, I live in {city} now|
new address from {when}: {city}, not {city2}|can the address be altered before the {thing} goes out to {city2}?|
I've moved house, send everything to {city} instead of {city2}|
the house number you hold is wrong since we moved to {city}|please swap the address {city2} for {city} in my profile|
update my street, the profile still says {city2} although I moved {when}""",
    "password reset": """I can't log in, it says wrong password {when}|
forgot my password, the reset link goes to {name}'s old inbox|the password reset mail never comes|
locked out after mistyping the password {n} times|how do I set a new password on a {thing}?|
login fails on my phone but works on the {room} computer|the reset link had expired when I clicked it {when}|
my {kin} {name} changed the password and I'm locked out|two-step login asks for a code from a phone I sold {when}|
sign-in page rejects my password since {when}""",
    "invoice copy": """could I have a copy of the invoice for the {thing}?|
I need a VAT invoice for the {thing}, {name} does our accounts|
the invoice of {when} has the wrong company name on it|please send the receipt for my {thing} again|
where can I download invoices from {month}?|our bookkeeper {name} needs last year's invoice for the {thing}|
lost the paper receipt of the {thing}, is there a duplicate?|invoice made out to {name} instead of the {kin}|
the invoice doesn't list the {thing}, only postage|
a stamped invoice for the {thing} is wanted by the tax office in {city}""",
    "product advice": """is the {thing} or the {thing2} better for a small {room}?|would a {thing} fit in my {room}?|
which {thing} do you recommend for a {event}?|can the {thing} be cleaned with vinegar?|
does the {thing} go with a {thing2}?|how loud is the {thing} compared with a {thing2}?|
what size of {thing} suits a {room}?|is your {thing} safe for small children?|
I'm torn between a {thing} and a {thing2} for my {kin}|how heavy is the {thing}, could {name} carry it alone?""",
    "opening hours": """are you open on {day} in {city}?|what time does the {shop} branch close {when}?|
is the {shop} store open over Easter?|until when can I come by {shop} on a {day}?|do you open before nine at {shop}?|
opening times of the {city} shop on {day}, please|is the {city} showroom closed in {month}?|
does the {shop} branch shut for lunch on {day}?|what are the hours of your shop near the {event} in {city}?|
can I visit {shop} late on {day}?""",
    "gift card balance": """how much is left on my gift card from {name}?|
the gift card {name} gave me {when} shows zero balance|can I pay for a {thing} with two gift cards?|
my gift voucher doesn't work at {shop}|do gift cards expire, mine is from {month}?|
check the balance of a gift card bought in {city}|the code under the scratch panel of my voucher is unreadable|
can I spend a gift card on a {thing} in {city}?|put the rest of the voucher towards a {thing}|
{name} wants to top up the gift card for my {event}""",
    "cancel subscription": """please cancel my monthly box, {reason}|how do I stop the subscription before {when}?|
I no longer want the club membership, {reason}|end my plan from {month} on|
I was charged for another month although I cancelled {when}|stop sending the seed box, {reason}|
can I pause the membership until {month}?|unsubscribe {name} from the monthly plan|cancel the renewal, {reason}|
the cancel button of my plan is greyed out since {when}""",
    "import duty": """do I pay customs when the {thing} is shipped into {city}?|
import tax on a {thing} bought in {city2}, how much?|customs in {city} want import papers for the {thing}|
who pays the import charges on my {thing}?|the {thing} is held by customs at {city} until import tax is paid|
is import tax included in the price of the {thing}?|import form asks for a tariff code of the {thing}|
customs charged me twice for importing one {thing}""",
    "export duty": """what export papers does a {thing} need to leave {city}?|
I'm taking a {thing} out of the country to {city}, is there an export levy?|
can I claim the export exemption on a {thing} sent to {city2}?|
export licence for the {thing}, {name} says I need one|do you stamp the export form for a {thing} at {shop}?|
exporting the {thing} from {city} {when}, what does the levy cost?|
is there an export levy on a {thing} for my {kin} abroad?|the export declaration of the {thing} has a typing error""",
}  # fmt: skip


def frames(text: str) -> list[str]:
    """The frames of a block of text, separated by bars; those of several lines are one."""
    return text.replace("\n", "").split("|")


def fill(frame: str, draw: random.Random) -> str:
    """A frame with each of its {slots} filled at random; the same slot twice gets two different draws."""

    def put(found: re.Match) -> str:
        slot = found[1].rstrip("23456789")
        if slot == "thing":
            return f"{draw.choice(FILL['make'])} {draw.choice(FILL['noun'])}"
        if slot == "when":
            return fill(draw.choice(frames(WHEN)), draw)
        return str(draw.randint(2, 28)) if slot == "n" else draw.choice(FILL[slot])

    return re.sub(r"\{(\w+)\}", put, frame)


def query(label: str, draw: random.Random) -> str:
    """One short query of 4-35 words that belongs to the label, one of QUERIES."""
    core = fill(draw.choice(frames(QUERIES[label])), draw)
    opener = fill(draw.choice(frames(OPENERS)), draw)
    closer = fill(draw.choice(frames(CLOSERS)), draw)
    if closer:
        core = core.rstrip("?.") if closer.startswith(",") else core
        closer = closer.replace(".", "", 1) if core.endswith("?") else closer
    text = opener + core + closer
    style = draw.random()
    if style < 0.6:
        text = text[0].upper() + text[1:]
    if style < 0.4 and text[-1] not in ".?!":
        text += "."
    return text
