"""The search attributes that every Tideover execution carries; a server must know them before a workflow starts."""

from temporalio.common import SearchAttributeKey

GROUP = SearchAttributeKey.for_keyword("DrGroup")
PHASE = SearchAttributeKey.for_keyword("DrPhase")
MODE = SearchAttributeKey.for_keyword("DrMode")
TARGET_SITE = SearchAttributeKey.for_keyword("DrTargetSite")
OUTCOME = SearchAttributeKey.for_keyword("DrOutcome")

ALL = (GROUP, PHASE, MODE, TARGET_SITE, OUTCOME)
