"""JSON of distributors. Amounts are fen; rates are hundredths of a percent."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints

from derpman.distribution.models import Application, Commission, Statement
from derpman.distribution.queries import Purchases, Summary, Sums
from derpman.distribution.states import TRANSITIONS, ApplicationStatus, Level
from derpman.distribution.terms import Terms
from derpman.finance.models import Method
from derpman.kit.paging import SortedQuery, TimedQuery
from derpman.kit.states import allowed_actions
from derpman.kit.types import MAX_ID, Body, IdValue, Line, Out, Part
from derpman.serials.states import SerialStatus
from derpman.users.models import User
from derpman.users.states import UserStatus

RequestKey = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{8,48}$")]
Quantity = Annotated[int, Field(ge=1, le=1000)]
RateBp = Annotated[int, Field(ge=0, le=9000)]
Limit = Annotated[int, Field(ge=0, le=10**10)]
FilterId = Annotated[int, Field(ge=1, le=MAX_ID)]
Prefix = Annotated[str, StringConstraints(strip_whitespace=True, max_length=64)]


class Apply(Body):
    plan_id: IdValue
    quantity: Quantity
    note: Line | None = None


class Refuse(Body):
    reason: Line


class Buy(Body):
    plan_id: IdValue
    quantity: Quantity
    method: Method
    request_key: RequestKey


class Generate(Body):
    plan_id: IdValue
    quantity: Quantity
    method: Literal[Method.WALLET, Method.CREDIT]
    request_key: RequestKey


class Repay(Body):
    fen: Annotated[int, Field(ge=1, le=10**11)]
    request_key: RequestKey


class QuoteQuery(Part):
    plan_id: IdValue
    quantity: Quantity = 1


class QuoteOut(Out):
    list_fen: int
    discount_fen: int
    amount_fen: int


class SetTerms(Body):
    level: Level
    may_generate: bool
    credit_limit_fen: Limit
    version: Annotated[int, Field(ge=0, le=MAX_ID)]
    """The one that was shown."""


class SetRate(Body):
    level: Level
    rate_bp: RateBp


class TermsPart(Part):
    level: Level
    may_generate: bool
    credit_limit_fen: int
    version: int

    @classmethod
    def of(cls, terms: Terms) -> Self:
        return cls(
            level=terms.level,
            may_generate=terms.may_generate,
            credit_limit_fen=terms.credit_limit_fen,
            version=terms.version,
        )


class TermsLine(Part):
    level: Level
    may_generate: bool
    credit_limit_fen: int
    actor: str | None
    created_at: datetime


class RateLine(Part):
    level: Level
    rate_bp: int
    actor: str | None
    created_at: datetime


class ClassesOut(Out):
    rates: dict[Level, int]
    history: list[RateLine]
    """The newest first."""


class SumsPart(Part):
    list_fen: int
    discount_fen: int
    commission_fen: int
    settled_fen: int
    open_fen: int
    owed_fen: int
    wallet_fen: int

    @classmethod
    def of(cls, sums: Sums) -> Self:
        return cls(**{name: getattr(sums, name) for name in cls.model_fields})


class SummaryOut(Out):
    terms: TermsPart
    rate_bp: int
    sums: SumsPart
    credit_free_fen: int
    customers: int
    in_service: int
    serials: dict[SerialStatus, int]
    pending_applications: int
    commission_this_month_fen: int

    @classmethod
    def of(cls, summary: Summary) -> Self:
        return cls(
            terms=TermsPart.of(summary.terms),
            rate_bp=summary.rate_bp,
            sums=SumsPart.of(summary.sums),
            credit_free_fen=summary.credit_free_fen,
            customers=summary.customers,
            in_service=summary.in_service,
            serials=summary.serials,
            pending_applications=summary.pending_applications,
            commission_this_month_fen=summary.commission_this_month_fen,
        )


class NameQuery(TimedQuery):
    name: Prefix | None = None
    """How a username begins."""


class DistributorPart(Part):
    id: int
    username: str
    status: UserStatus
    created_at: datetime
    terms: TermsPart
    rate_bp: int
    sums: SumsPart


class DistributorsOut(Out):
    distributors: list[DistributorPart]
    next_before: int | None


class OneDistributorOut(Out):
    distributor: DistributorPart
    summary: SummaryOut
    history: list[TermsLine]


class CustomerPart(Part):
    id: int
    username: str
    status: UserStatus
    rental_expiry: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, user: User) -> Self:
        return cls(**{name: getattr(user, name) for name in cls.model_fields})


class CustomersOut(Out):
    customers: list[CustomerPart]
    next_before: int | None


class MySerialsQuery(SortedQuery):
    code: Prefix | None = None
    status: SerialStatus | None = None
    plan_id: FilterId | None = None
    order_id: FilterId | None = None


class ApplicationsQuery(TimedQuery):
    status: ApplicationStatus | None = None


class AllApplicationsQuery(ApplicationsQuery):
    user_id: FilterId | None = None


class ApplicationPart(Part):
    id: int
    user_id: int
    username: str | None
    plan_id: int
    plan: str | None
    quantity: int
    note: str | None
    status: ApplicationStatus
    reason: str | None
    order_id: int | None
    created_at: datetime
    decided_at: datetime | None
    allowed_actions: list[str]

    @classmethod
    def of(
        cls,
        application: Application,
        usernames: dict[int, str],
        plans: dict[int, str],
        *,
        is_staff: bool,
    ) -> Self:
        actions = STAFF_ACTIONS if is_staff else OWN_ACTIONS
        return cls(
            **{name: getattr(application, name) for name in COLUMNS},
            username=usernames.get(application.user_id),
            plan=plans.get(application.plan_id),
            allowed_actions=[
                one for one in allowed_actions(TRANSITIONS, application.status) if one in actions
            ],
        )


COLUMNS = (
    *("id", "user_id", "plan_id", "quantity", "note", "status", "reason", "order_id"),
    *("created_at", "decided_at"),
)
OWN_ACTIONS = frozenset({"withdraw"})
STAFF_ACTIONS = frozenset({"approve", "refuse"})


class ApplicationsOut(Out):
    applications: list[ApplicationPart]
    next_before: int | None


class OneApplicationOut(Out):
    application: ApplicationPart


class PurchaseOut(Out):
    """An order of serials; `codes` once it is paid."""

    order_id: int
    number: str
    status: str
    amount_fen: int
    codes: list[str]


class RepaidOut(Out):
    owed_fen: int


class StatementsQuery(TimedQuery):
    user_id: FilterId | None = None


class StatementPart(Part):
    id: int
    user_id: int
    username: str | None
    month: date
    opening_fen: int
    earned_fen: int
    taken_back_fen: int
    to_credit_fen: int
    to_wallet_fen: int
    closing_fen: int
    created_at: datetime

    @classmethod
    def of(cls, statement: Statement, usernames: dict[int, str]) -> Self:
        columns = {
            name: getattr(statement, name) for name in cls.model_fields if name != "username"
        }
        return cls(**columns, username=usernames.get(statement.user_id))


class StatementsOut(Out):
    statements: list[StatementPart]
    next_before: int | None


class PurchasesPart(Part):
    orders: int
    serials: int
    list_fen: int
    discount_fen: int
    amount_fen: int

    @classmethod
    def of(cls, purchases: Purchases) -> Self:
        return cls(**{name: getattr(purchases, name) for name in cls.model_fields})


class CommissionPart(Part):
    id: int
    order_id: int
    order: str | None
    base_fen: int
    rate_bp: int
    fen: int
    booked_on: date
    statement_id: int | None

    @classmethod
    def of(cls, commission: Commission, numbers: dict[int, str]) -> Self:
        columns = {name: getattr(commission, name) for name in cls.model_fields if name != "order"}
        return cls(**columns, order=numbers.get(commission.order_id))


class CommissionsOut(Out):
    commissions: list[CommissionPart]
    next_before: int | None


class OneStatementOut(Out):
    statement: StatementPart
    purchases: PurchasesPart
    """What he bought in that month."""
