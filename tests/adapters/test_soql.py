"""SOQL: one SELECT that changes nothing is taken apart; anything else is refused."""

import pytest

from adapters.connectors.soql import parsed, quoted
from domain.errors import Invalid


@pytest.mark.parametrize(("soql", "listing", "one"), [
    ("SELECT Id, Name FROM Account",
     "SELECT Id FROM Account",
     "SELECT Id, Name FROM Account WHERE Id = 'x' LIMIT 1"),
    ("select Name from Case c where c.IsClosed = false order by Name limit 5",
     "SELECT Id FROM Case c where c.IsClosed = false order by Name limit 5",
     "SELECT Name FROM Case c WHERE Id = 'x' LIMIT 1"),
    ("SELECT Name,\n (SELECT Body FROM Notes WHERE Body != 'FOR ; UPDATE')\nFROM Account\nWHERE Name = 'it\\'s FROM; -- (' ",
     "SELECT Id FROM Account WHERE Name = 'it\\'s FROM; -- ('",
     "SELECT Name,\n (SELECT Body FROM Notes WHERE Body != 'FOR ; UPDATE') FROM Account WHERE Id = 'x' LIMIT 1"),
    ("SELECT FIELDS(ALL) FROM Order_Item__c USING SCOPE mine WHERE Id IN (SELECT A__c FROM B__c) LIMIT 200",
     "SELECT Id FROM Order_Item__c USING SCOPE mine WHERE Id IN (SELECT A__c FROM B__c) LIMIT 200",
     "SELECT FIELDS(ALL) FROM Order_Item__c WHERE Id = 'x' LIMIT 1"),
    ("SELECT TYPEOF What WHEN Account THEN Phone ELSE Name END FROM Event WITH USER_MODE",
     "SELECT Id FROM Event WITH USER_MODE",
     "SELECT TYPEOF What WHEN Account THEN Phone ELSE Name END FROM Event WHERE Id = 'x' LIMIT 1"),
])  # fmt: skip
def test_a_select_is_taken_apart(soql: str, listing: str, one: str):
    select = parsed(soql, "/config/soql")
    assert select.listing(["Id"]) == listing
    assert select.one(Id="x") == one


@pytest.mark.parametrize("soql", [
    "", "  ", "FIND {x} IN ALL FIELDS", "DELETE FROM Account", "UPDATE Account SET Name = 'x'", "SELECT", "SELECT FROM Account",
    "SELECT Id", "SELECT Id FROM", "SELECT Id FROM 'Account'", "SELECT Id FROM Account; DELETE FROM Account",
    "SELECT Id FROM Account SELECT Id FROM Case", "SELECT Id FROM Account FROM Case", "SELECT Id FROM Account, Account.Contacts c",
    "SELECT Id FROM Account -- more", "SELECT Id FROM Account /* more */", "SELECT Id FROM Account WHERE Name = 'open",
    "SELECT Id FROM Account WHERE Name = 'a\\'", "SELECT Id FROM Account WHERE (Name = 'a'", "SELECT Id FROM Account WHERE Name = 'a')",
    "SELECT Id FROM Account FOR UPDATE", "SELECT Id FROM Account FOR VIEW", "SELECT Id FROM Account a for reference",
    "SELECT Title FROM FAQ__kav WHERE PublishStatus='online' UPDATE VIEWSTAT", "SELECT Id FROM Account LIMIT 1 update tracking",
    "SELECT COUNT(Id) FROM Account GROUP BY Name", "SELECT (Id FROM Account)", "(SELECT Id FROM Account)", "SELECT Id FROM (Account)",
    "SELECT Id FROM Account a b WHERE Name = 'x'", "SELECT Id FROM Äccount",
])  # fmt: skip
def test_what_is_no_single_select_that_reads_only_is_refused(soql: str):
    with pytest.raises(Invalid) as refused:
        parsed(soql, "/config/soql")
    assert refused.value.error_code == "not_a_select"


def test_what_is_selected_is_known():
    select = parsed("SELECT Id, c.Subject, Account.Name, toLabel(Status) FROM Case c", "/config/soql")
    assert [select.names(each) for each in ("id", "Subject", "account.name", "Status", "Description", "Name")] == [
        True, True, True, True, False, False
    ]  # fmt: skip
    assert parsed("SELECT FIELDS(ALL) FROM Case LIMIT 200", "/config/soql").names("Anything__c")


def test_values_can_not_leave_their_quotes():
    assert quoted("a' OR Name != '\\") == r"'a\' OR Name != \'\\'"
