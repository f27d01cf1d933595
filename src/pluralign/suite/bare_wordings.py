"""Wordings of the tasks of `sources/bare.py`: of each task's four strands three alternatives."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["WORDINGS"]

GSM8K = {
    "joint": (
        "Word problems of grade-school mathematics, each with its worked answer.",
        "Write a problem that takes a few steps of simple arithmetic, and solve it; the number comes last, after ####.",
        "Math questions and answers for school, as JSON.",
    ),
    "answer": (
        "Solve word problems step by step; the number comes last, after ####.",
        "The input is a question of grade-school mathematics, the output its solution in words and calculations.",
        "Answers to math problems, with the reasoning.",
    ),
    "question_from_answer": (
        "From the worked answer, find the word problem that it solves.",
        "Questions for answers: the input is the solution of a problem of grade-school mathematics, the output the problem.",
        "Which math question has this answer?",
    ),
    "question": (
        "Word problems of grade-school mathematics.",
        "Short stories with numbers, at the end of which something has to be worked out with a few steps of arithmetic.",
        "Ask a math question that arithmetic, and at most a little algebra, can answer.",
    ),
}
ENRON = {
    "joint": (
        "E-mails, and whether each is spam.",
        "Write an e-mail such as arrives in a company's mailbox, wanted or unwanted, and label it: spam or not spam.",
        "Samples for a spam filter, as JSON with the mail and its label.",
    ),
    "label": (
        "Is an e-mail spam or not spam?",
        "Sort the mails of an office: unwanted advertising and fraud are spam, the rest is not spam.",
        "A spam filter's answers.",
    ),
    "email_from_label": (
        "Write an e-mail that is spam, or one that is not, as the input says.",
        "Each input is a label, spam or not spam; each output is a mail that has it.",
        "E-mails by label.",
    ),
    "email": (
        "E-mails of a company's mailbox, spam among them.",
        "Write an e-mail: a note between colleagues, an arrangement, an offer that nobody asked for.",
        "What lands in an inbox?",
    ),
}
NEWSGROUPS = {
    "joint": (
        "Messages to Usenet newsgroups, each with the name of its group.",
        "Pick one of twenty newsgroups, such as sci.space or rec.autos, and write a message to it. The output is JSON.",
        "Newsgroup posts and where they were posted.",
    ),
    "newsgroup": (
        "To which newsgroup does a message belong?",
        "Classify messages by subject: the output is the name of one of twenty Usenet groups, such as comp.graphics.",
        "Label each post with its newsgroup.",
    ),
    "message_from_newsgroup": (
        "Write a message to the given newsgroup.",
        "The input names a Usenet group, the output is something that one might post there: a question, a reply, an offer.",
        "Newsgroup posts on demand.",
    ),
    "message": (
        "Messages to Usenet newsgroups.",
        "Posts on computers, cars, sports, science, religion, politics or things for sale, as on the Usenet of the nineties.",
        "Write something that could stand in a newsgroup.",
    ),
}
LCB = {
    "joint": (
        "Programming problems in plain language, each with one test input and the output that is right for it.",
        "Write a coding or logic problem, an input to it, and the answer. The output is a JSON object of the three.",
        "Predict-the-output problems with their answers.",
    ),
    "answer": (
        "What is the result? Each input describes a function and gives it something to work on.",
        "Coding and logic problems: give the output for the test input.",
        "The input is a JSON object with a problem and a test input. Work out, without running any code, what a correct "
        "program returns for it.",
    ),
    "question_from_answer": (
        "Invent a programming problem and a test input so that the given value is the right output.",
        "The input is an answer; the output is a problem in plain language, with a test input, that has this answer.",
        "Coding problems to given answers.",
    ),
    "question": (
        "Programming problems in plain language, each with a test input.",
        "Describe what a function should do, and give one input to try it on.",
        "Coding and logic problems without their answers.",
    ),
}


def _reading(passages: str, subject: str, which: str) -> dict[str, tuple[str, str, str]]:
    """Of questions about texts: what the texts are, in the plural, what they are about, and which questions are asked."""
    return {
        "joint": (
            f"{passages.capitalize()}, a question about them and its answer.",
            f"Questions {which}: the output is a JSON object with the context, a question that can be answered from it, and "
            "the answer.",
            f"Reading comprehension: {subject}.",
        ),
        "answer": (
            f"Answer the question with the help of {passages}.",
            f"The input is a JSON object with a context and a question about {subject}; the answer is to be found in the "
            "context, or follows from it.",
            f"Answers to questions {which}.",
        ),
        "question_from_answer": (
            f"Given {passages} and an answer, what was the question?",
            f"Write a question on {subject} that has the given answer, going by the given context.",
            f"Questions about {subject}, from a context and the answer that is wanted.",
        ),
        "context": (
            f"{passages.capitalize()}, with facts that questions can be asked about.",
            f"Contexts for questions {which}.",
            f"Source texts: {subject}.",
        ),
    }


WORDINGS: Mapping[str, Mapping[str, tuple[str, str, str]]] = {
    "bare_gsm8k": GSM8K,
    "bare_enron": ENRON,
    "bare_hotpot": _reading("passages of an encyclopedia", "people, places or works", "that join facts of several articles"),
    "bare_lcb": LCB,
    "newsgroups": NEWSGROUPS,
    "pubmed": _reading("abstracts of medical papers", "biomedical research", "about findings in the life sciences"),
}
"""Task to strand to three alternatives."""
