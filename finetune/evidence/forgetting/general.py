"""General texts and questions, written for this purpose, on which forgetting is measured: nothing of them is of the task.

Both are easy, so that a small model has something to lose. Changing one makes the figures of earlier comparisons
incomparable, so add rather than change.
"""

from __future__ import annotations

from dataclasses import dataclass

PASSAGES: tuple[str, ...] = (
    "A kettle boils faster with a lid on because less heat leaves with the steam. The water still reaches the same "
    "temperature, one hundred degrees at sea level, and stays there until it has all turned to vapour.",
    "The old railway station stood at the edge of the village, where the road bent towards the river. Every morning a "
    "single train stopped, let down two or three passengers, and went on to the coast.",
    "To make a simple soup, cut two onions and a few carrots into small pieces, cook them slowly in a little oil, add "
    "a litre of water and a handful of lentils, and let everything simmer for half an hour. Salt it at the end.",
    "Light takes about eight minutes to travel from the Sun to the Earth. When we look at a distant star, we see it as "
    "it was many years ago, because its light has been on the way all that time.",
    "def count_words(text):\n    words = text.lower().split()\n    counts = {}\n    for word in words:\n"
    "        counts[word] = counts.get(word, 0) + 1\n    return counts\n",
    "If a train leaves at nine and travels for two hours and forty minutes, it arrives at twenty to twelve. If it is "
    "a quarter of an hour late, it arrives at five to twelve.",
    "“Have you seen my glasses?” asked her grandfather for the third time that day. “They are on your nose,” said Mina, "
    "without looking up from her book. He laughed, took them off, cleaned them on his sleeve and put them back on.",
    "In many countries a law is first discussed in a committee of parliament, then voted on by all members, and signed "
    "at the end by the head of state. A court can later decide that it does not agree with the constitution.",
    "Bees find flowers by their colour and their smell. While they drink the nectar, pollen sticks to the hairs on "
    "their legs and is carried to the next flower, where it makes seeds and fruit possible.",
    "Dear Mr Alvarez, thank you for your letter of 3 May. We are sorry that the chairs arrived with a broken leg. A new "
    "pair is on its way to you and should arrive within five working days. Yours sincerely, Ellen Wood",
    "A triangle with sides of three, four and five metres has a right angle opposite its longest side, because nine and "
    "sixteen are twenty-five. Builders used a rope with twelve knots to mark out square corners in this way.",
    "<table>\n  <tr><th>City</th><th>Country</th></tr>\n  <tr><td>Lima</td><td>Peru</td></tr>\n"
    "  <tr><td>Oslo</td><td>Norway</td></tr>\n</table>\n",
    "After the long winter the ice on the lake began to crack. The fishermen pulled their huts back to the shore, "
    "counted their hooks, and waited for the first warm week, when the boats could be painted.",
    "Running every day is less useful than many people think. Muscles grow stronger while they rest, so three runs a "
    "week, one of them long and slow, do more for a beginner than seven hurried ones.",
)


@dataclass(frozen=True, slots=True)
class Question:
    """A question that most chat models can answer.

    Attributes:
        kind: knowledge, arithmetic, language, instruction or code.
        accepted: a right answer contains one of these; a number stands for every way to write it in digits.
        exact_case: capitals count.
        most_words: a longer answer is wrong, because the question asked for a short one; 0 for any length.
    """

    kind: str
    text: str
    accepted: tuple[str, ...]
    exact_case: bool = False
    most_words: int = 0


PROMPTS: tuple[Question, ...] = (
    Question("knowledge", "What is the capital of France?", ("Paris",)),
    Question("knowledge", "What is the capital of Japan?", ("Tokyo",)),
    Question("knowledge", "Which planet do we live on?", ("Earth",)),
    Question("knowledge", "Who wrote Romeo and Juliet?", ("Shakespeare",)),
    Question("knowledge", "Who painted the Mona Lisa?", ("Leonardo", "da Vinci")),
    Question("knowledge", "What is the largest ocean on Earth?", ("Pacific",)),
    Question("knowledge", "How many days are there in a week?", ("7", "seven")),
    Question("knowledge", "How many legs does a spider have?", ("8", "eight")),
    Question("knowledge", "What is the name of the star at the centre of our solar system?", ("Sun", "Sol")),
    Question("knowledge", "What is the chemical formula of water?", ("H2O", "H₂O")),
    Question("arithmetic", "What is 7 plus 5?", ("12", "twelve")),
    Question("arithmetic", "What is 10 minus 3?", ("7", "seven")),
    Question("arithmetic", "What is 6 times 4?", ("24", "twenty-four")),
    Question("arithmetic", "What is half of 20?", ("10", "ten")),
    Question("arithmetic", "I have 3 apples and buy 2 more. How many apples do I have now?", ("5", "five")),
    Question("language", "What is the opposite of hot?", ("cold", "cool")),
    Question("language", "What is the opposite of up?", ("down",)),
    Question("language", "What is the opposite of big?", ("small", "little", "tiny")),
    Question("language", "What is the plural of the word mouse, the animal?", ("mice",)),
    Question("language", "What is the past tense of the verb go?", ("went",)),
    Question("language", "Correct this sentence: She go to school every day.", ("she goes",)),
    Question("instruction", "Write the word ocean in capital letters.", ("OCEAN",), exact_case=True),
    Question("instruction", "Count from 1 to 5.", ("1 2 3 4 5", "one two three four five")),
    Question("instruction", "Answer with yes or no: is fire hot?", ("yes",), most_words=5),
    Question("instruction", "Repeat exactly this: the cat sat on the mat", ("the cat sat on the mat",), most_words=8),
    Question("instruction", "Complete the sentence: During the day the sky is blue, and grass is", ("green",)),
    Question("code", "What does HTML stand for?", ("hypertext markup language",)),
    Question("code", "In Python, which function tells how many items a list has?", ("len",)),
    Question("code", "Write a for loop in Python that prints the numbers 0 to 4.", ("in range",)),
    Question("code", "Write the SQL query that selects everything from a table called users.", ("select from users",)),
)
