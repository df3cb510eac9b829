"""The words of the planted paragraphs and chats: frames of sentences, filled from the lists of `wording`."""

from __future__ import annotations

import random

from wording import fill, frames

PARAGRAPHS = {
    "incident report": """At about {n} minutes past seven {name} noticed smoke coming from the {thing} in the {room}.|
The {kin} of the tenant rang the {city} fire service before touching anything.|
Nobody was hurt, although {name} complained of a sore wrist.|
Power to the {room} was cut off and the {thing} was carried outside.|
A witness, {name} of {shop}, had seen the cable of the {thing} lying in a puddle {when}.|
The insurer has asked for photographs of the {thing2} and of the scorched wall.|
Our own inspection {when} had found {harm}, which was not followed up.|
The area was taped off for {n} hours and the {event} moved to another floor.|
An extinguisher from the {room} was emptied and must be refilled in {city}.|
The likely cause is a fault in the {thing}, bought at {shop} {when}.|
{name} and {name2} were reminded not to leave the {thing} running unattended.|
Damage is put at the price of one {thing} and a new carpet for the {room}.|
The alarm sounded twice, which {name} took for the weekly test.|
A full account was sent to the safety officer in {city} {when}.""",
    "property listing": """This bright flat near {shop} in {city} has a {room} that catches the sun until evening.|
The owners, who moved to {city2} {when}, leave behind a {thing} and a {thing2}.|
A {room} with its own entrance could be let to a lodger.|
Heating was renewed {when} and the windows are double glazed throughout.|
Schools, the market and the tram to {city} lie within {n} minutes on foot.|
The previous tenant kept a {thing} in the {room}, and its marks are still on the floor.|
Viewings are held on {day}s by {name}, who has the keys.|
There is room for a {thing} under the stairs and for bicycles in the yard.|
Ground rent has stayed the same since {month} and the roof was mended {when}.|
From the {room} one looks over the rooftops of {city} as far as the river.|
Please note {harm} on the fitted {thing}, which the price allows for.|
The neighbours are a {kin} of the architect and a retired organ builder.|
A deposit holds the house until the survey is done in {month}.|Pets are welcome so long as the {room} is kept tidy.""",
    "hotel review": """We stayed {n} nights for a {event} and would come back tomorrow.|
Our room had a {thing} by the window and smelt faintly of lavender.|
Breakfast was served in the {room}, with proper coffee and a {thing} full of fruit.|
The night porter, {name}, found us a taxi to {city} when all trains were cancelled.|
Sadly the {thing} in our bathroom had {harm}.|My {kin} slept badly because the {room} lies above the bar.|
It is a short walk from {shop}, uphill, and the last stretch is unlit.|
They lent us a {thing} for the beach without asking for a deposit.|
We had booked {when} and still got the room with the view.|
Dinner took ages, but {name} brought a plate of cheese to make up for it.|
Compared with the place in {city} where we stayed {when}, this was a palace.|
The lift was out of order and nobody offered to carry the cases.|
Somebody had left a {thing} on the landing and I walked into it in the dark.|
Check-out is at eleven, though on {day} they let us linger in the {room}.""",
    "meeting minutes": """{name} opened the meeting and thanked the {kin} who had lent the {room}.|
Apologies were received from {name} and {name2}, both in {city}.|
The treasurer reported that the {event} had brought in more than the one {when}.|
It was agreed to buy a {thing} for the {room} before {month}.|
{name} objected that the old {thing} could be mended, having only {harm}.|
The proposal to move the {event} to {shop} was put to the vote and lost.|
A letter from the council of {city} about the lease was read aloud.|
{name2} will ask three firms in {city} for quotations and report {when}.|
The secretary was asked to find out who had borrowed the {thing}.|
Members complained of the cold in the {room} and of the noise from {shop}.|
Under any other business {name} showed a {thing} made by the youth section.|
Minutes of the gathering held {when} were read and signed.|
The chair closed the session early because of the {event}.|Next time the group will meet on a {day}, in the {room}.""",
    "job reference": """I have known {name} since {month}, first as a trainee at our {city} workshop.|
In the {room} nobody was quicker to spot {harm}.|
Customers in {city} still ask after {name}, which says more than any certificate.|
When the {event} was nearly called off, it was {name} who found another {thing}.|
Punctual to a fault, {name} missed {n} days in all, most of them because of a sick {kin}.|
One weakness should be told: paperwork is put off until {day}.|
The repair of a {thing} that two firms had given up was done alone and in one weekend.|
Our branch at {shop} would take {name} back without an interview.|
Training the apprentices fell to {name} from {month} on, with visible success.|
Asked to choose between speed and care, {name} chooses care, as the {thing} in our window shows.|
The reason for leaving is the move of the {kin} to {city}, nothing else.|
Colleagues such as {name2} learnt how to restore a {thing} by watching.|
Trust with money was never in doubt; the till of the {event} balanced to the penny.|
Please telephone our {shop} office if anything is unclear.""",
    "travel note": """We left {city} {when}, in drizzle, with a {thing} strapped to the roof.|
The road to {city2} follows the river and passes {n} locks.|
In {city} a man named {name} sold us cherries and would not take money for the basket.|
Our {thing} broke on the pass and a shepherd mended it with wire.|
By evening we reached an inn whose {room} was papered with old maps.|
The ferry was full of people going home from a {event}.|
{name2} read aloud from a guidebook printed before the bridge was built.|
A storm held us in {city} until {day}, so we learnt to play cards.|
The museum keeps a {thing} said to have belonged to a bishop.|
At the market near {shop} I bought a {thing2} that I have never used since.|
My {kin} wrote postcards while I looked for a stamp from {city}.|
The last train had gone, and the waiting room smelt of wet wool.|
Someone had painted {name} was here on the harbour wall {when}.|
Coming down into {city2} one sees the cathedral before anything else.""",
    "garden diary": """The frost {when} took the beans, though those beside the {thing} survived.|
{name} brought seedlings from {city} and we planted them before dark.|
Slugs have found the lettuce again, in spite of the {thing} I put round it.|
The compost behind the {room} is warm enough to steam in the morning.|
My {kin} pruned the pear tree too hard and blames the moon.|
Dug the bed near {shop} for {n} minutes until my back gave out.|
A hedgehog lives under the {thing2} and comes out about nine.|
First roses of the year, {n} of them, cut for the {event}.|The hose has {harm}, so I carry water from the {room}.|
Swapped a tray of leeks for {name2}'s old {thing}.|
No rain since {month}; the soil by the {room} cracks like a plate.|
Sowed carrots {when} under a cloth against the fly.|The apple that came from {city} flowers a week before the rest.|
Must remember to oil the {thing} before winter.""",
}  # fmt: skip
QUESTIONS = """What went wrong here, and who saw it?|Who is named and in what part?|What should be done first?|
Summarise this for my {kin}.|Which place matters most and why?|Give the gist in a sentence or two.|
What would you ask {name} about this?|Is there anything to buy or mend?|What was {name} told about the {thing}?|
Explain to somebody in {city} what this is about.|What does the writer feel, and since when?|
Find the detail a reader of {city} would miss.|What follows from this for the {event}?|
Name one thing the {kin} should check {when}."""
ANSWERS = """The {thing} is the heart of it: {name} should look at it {when} and tell {name2}.|
In short, somebody in {city} is responsible for the {room}, and nothing happens before {month}.|
{name} matters most, because without the {thing} the {event} could not be held.|
The writer is content on the whole, but the {room} and the {kin} are a worry since {month}.|
First mend the {thing}, then write to {city}; the rest can wait until {day}.|
Two people are named, {name} and {name2}, and only the former has seen the {room}.|
Nothing needs buying except a {thing}, which {shop} sells.|
It hangs on {city}: if the {kin} goes there {when}, the matter is settled.|
Ask {name} whether {harm} was there {when}, since the text leaves it open.|
The gist is that a {thing} was lent, spoilt and paid for before the {event}.|
A reader would miss that the {room} lies in {city}, not in {city2}.|
Check the {thing2} with care; it is mentioned once and explains the delay of {n} days."""
SYSTEMS = ("You help the customers of a household shop. Be brief and kind.",)
ASKS = """My {thing} won't switch on since {when}, and the {event} is close. What can I try?|
I'd like to book a fitter for a {thing} in {city}.|Could you tell me whether the {thing} can stand in a damp {room}?|
We bought a {thing} at {shop} and it shows {harm}.|How do I get {harm} put right on a {thing2}?|
{name} recommended your workshop in {city}; do you restore a {thing}?|
I'm planning a {event} for {n} guests and need to hire a {thing}.|
Is it possible to collect the {thing} in {city} on a {day} instead?|
My {kin} spilled paint on the {thing} {when}, how do I get it off?|
Which {thing} would you put in a {room} with low ceilings?|
The app shows my {thing} as sold, yet {shop} put it aside for me {when}.|
Do you swap a {thing} for a {thing2} if the box was opened?|Can you teach my {kin} to use a {thing}, say {when}?|
There's a squeak in the {thing} that drives {name} mad.|
I need spare parts for the {thing} from {city}, the old ones have {harm}.|
Would a {thing} survive the winter in the {room}?"""
REPLIES = """I'm sorry to hear about the {thing}. Unplug it, wait {n} minutes, and tell me what the small lamp does.|
Certainly. {name} is in {city} on {day} and could come to the {room} at ten.|
That depends on the {room}: is it heated, and does the {thing} stand against an outer wall?|
Of course. Bring the {thing2} to {shop}, where {name} will look at it while you wait.|
We do, though a {thing} takes about {n} days, more if it has {harm}.|
Yes, for a {event} we lend the {thing} from {day} to {day2} against a deposit.|
Warm water and a little soap are best; never use what is sold in {city} for a {thing}.|
I'd choose a {thing2}, since a {thing} soon looks lost in such a {room}.|
It seems {shop} has the {thing} under the name {name}. Shall I move it to {city}?|
An opened box is fine as long as nothing is missing and you bought it {when}.|
There is a course {when} at {shop}, led by {name}, with {n} places left.|
The squeak comes from a dry joint. A drop of oil behind the {room} side usually cures it."""
FOLLOWS = """It blinks {n} times and then goes dark, like the {thing} of my {kin}.|
The {room} is heated from {month} on, but {name} keeps the window open.|{day} suits me, only not before the {event}.|
I'd rather come to {city} myself, if {name} is there {when}.|
And what does that cost for a {thing} as old as mine, from {month} or so?|
My {kin} insists on the {thing}, so let us assume that one.|Please do, and keep the {thing2} until {when}.|
I tried oil {when}; it only got worse, and now there is {harm}.|
Could {name} bring a {thing} along as well, for the {room}?|
Is there anybody in {city2} who does the same on a {day}?|
Hm, {shop} told me something else {when}, that it takes {n} weeks.|
Right. Then I'd like two, one for {name} and one for the {room}."""
SHORT_FOLLOWS = ("Yes please.", "Thanks, that's all.", "Okay, and then?", "No, thank you.", "Great, go ahead.")
ENDINGS = """Done: {name} will ring you {when} about the {thing}.|
Then it is settled, and the {thing} waits for you at {shop} from {day} on.|
That points to the fuse. Our {city} workshop replaces it within {n} days, free of charge for a {thing}.|
In that case take the {thing2}; it bears the damp of a {room} far better.|
I have noted {day}, and {name} will bring what is needed for the {room}.|
It costs about as much as a new {thing}, so I'd only do it if your {kin} is fond of it.|
{city2} has a partner, {name}, who works on {day}s as well.|
I'm afraid {harm} is not covered, but {shop} mends it at cost price.|
You get a note once the {thing} has left {city}, most likely {when}.|
Good choice. For the {event} I would add a {thing2}, which we lend without charge.|
Leave it as it is until {name} has seen it, and keep the {room} dry.|
Both are on their way; the one for the {kin} goes to {city}."""


def paragraph(label: str, draw: random.Random) -> str:
    """Sentences of one label of PARAGRAPHS, 40-150 words."""
    goal, sentences, size = draw.randint(45, 125), [], 0
    for frame in draw.sample(frames(PARAGRAPHS[label]), 14):
        sentences.append(fill(frame, draw))
        size += len(sentences[-1].split())
        if size >= goal:
            break
    return " ".join(sentences)


def question_and_answer(draw: random.Random) -> tuple[str, str]:
    """A question about a paragraph and an answer of 10-30 words."""
    return fill(draw.choice(frames(QUESTIONS)), draw), fill(draw.choice(frames(ANSWERS)), draw)


def chat(draw: random.Random) -> tuple[tuple[tuple[str, str], ...], str]:
    """The turns up to the last of the user, and the last answer: 2-6 turns, a system message before three in ten.

    One longer chat in eight ends with a user turn that many chats share, such as “Yes please.”.
    """
    turns = [("system", SYSTEMS[0])] if draw.random() < 0.3 else []
    turns.append(("user", fill(draw.choice(frames(ASKS)), draw)))
    for _ in range(draw.randint(0, 2)):
        turns.append(("assistant", fill(draw.choice(frames(REPLIES)), draw)))
        turns.append(("user", fill(draw.choice(frames(FOLLOWS)), draw)))
    if len(turns) > 2 and draw.random() < 0.125:
        turns[-1] = ("user", draw.choice(SHORT_FOLLOWS))
    return tuple(turns), fill(draw.choice(frames(ENDINGS)), draw)
