"""Names below a base path: which are versions, and which of them are served."""

from __future__ import annotations

import dataclasses

SOURCE = "sources/storage_path/file_system_storage_path_source.cc"
TEST = (
    "sources/storage_path/file_system_storage_path_source_test.cc FileSystemStoragePathSourceTest"
)
NUMBER = f"{SOURCE} ParseVersionNumber (absl::SimpleAtoi)"


@dataclasses.dataclass(frozen=True)
class VersionCase:
    """Directories below a base path, and the versions that are served of them.

    A name that ends in "!" is an empty file, one in "?" an empty directory.
    """

    id: str
    names: tuple[str, ...]
    available: tuple[int, ...]
    source: str
    failed: tuple[int, ...] = ()
    """Versions that are tried and do not load."""
    policy: str = ""
    served_from: str = ""
    """The directory that the only version comes from, where several have its number."""


CASES = [
    VersionCase(
        "the latest",
        ("30", "33", "42", "non_numerical_child"),
        (42,),
        f"{TEST}.DefaultVersionPolicy",
    ),
    VersionCase("by number, not by text", ("9", "10"), (10,), f"{SOURCE} IndexChildrenByVersion"),
    VersionCase(
        "the three latest",
        ("42", "33", "30", "21", "17"),
        (42, 33, 30),
        f"{TEST}.NLatestVersions",
        policy="latest { num_versions: 3 }",
    ),
    VersionCase(
        "all",
        ("17", "21", "non_numerical_child"),
        (21, 17),
        f"{TEST}.MultipleVersionsAtTheSameTime",
        policy="all { }",
    ),
    VersionCase(
        "specific",
        ("42", "33", "30", "21", "17"),
        (30, 17),
        f"{TEST}.SpecificVersions",
        policy="specific { versions: 17 versions: 30 }",
    ),
    VersionCase(
        "specific with leading zeros",
        ("non_numerical_child", "42", "33", "30", "21", "00017"),
        (30, 17),
        f"{TEST}.SpecificVersionsLeadingZeros",
        policy="specific { versions: 17 versions: 30 }",
    ),
    VersionCase(
        "a time",
        ("20170111173521",),
        (20170111173521,),
        f"{TEST}.ParseTimestampedVersion",
        policy="all { }",
    ),
    VersionCase(
        "renamed versions",
        ("1", "2.denied", "3", "5.denied"),
        (3, 1),
        f"{TEST}.ServableVersionDirRenamed",
        policy="all { }",
    ),
    VersionCase(
        "one number three times",
        ("0001", "001", "00001", "non_numerical_child"),
        (1,),
        f"{TEST}.DuplicateVersions",
        served_from="001",
    ),
    VersionCase(
        "one number twice", ("7", "007"), (7,), f"{SOURCE} IndexChildrenByVersion", served_from="7"
    ),
    VersionCase("leading zeros", ("00000123",), (123,), NUMBER),
    VersionCase("zero", ("0",), (0,), NUMBER),
    VersionCase("zeros", ("000",), (0,), NUMBER),
    VersionCase("the largest number", ("9223372036854775807",), (2**63 - 1,), NUMBER),
    VersionCase("beyond the largest number", ("1", "9223372036854775808"), (1,), NUMBER),
    VersionCase("far beyond the largest number", ("1", "9" * 40), (1,), NUMBER),
    VersionCase("many leading zeros", ("0" * 40 + "5",), (5,), NUMBER),
    VersionCase("a point", ("1", "2.0", "3."), (1,), NUMBER),
    VersionCase("hexadecimal", ("1", "0x10"), (1,), NUMBER),
    VersionCase("an exponent", ("1", "1e3"), (1,), NUMBER),
    VersionCase("a letter behind", ("1", "2a", "v3"), (1,), NUMBER),
    VersionCase("an underscore", ("1", "2_000"), (1,), NUMBER),
    VersionCase("hidden and temporary names", ("1", ".2", "tmp-3", "4.tmp", "5~"), (1,), NUMBER),
    VersionCase("digits of another script", ("1", "２", "٣"), (1,), NUMBER),
    VersionCase("a space inside", ("1", "2 3"), (1,), NUMBER),
    VersionCase("a plus sign", ("1", "+5"), (5,), NUMBER),
    VersionCase("white space around", ("1", " 6", "7 "), (7,), NUMBER),
    VersionCase(
        "a minus sign",
        ("1", "-1"),
        (1, -1),
        NUMBER,
        policy="all { }",
    ),
    VersionCase("a minus sign alone", ("1", "-"), (1,), NUMBER),
    VersionCase(
        "a file",
        ("1", "2!"),
        (1,),
        f"{SOURCE} PollFileSystemForServable, which does not ask for directories",
        failed=(2,),
        policy="all { }",
    ),
    VersionCase(
        "an empty directory",
        ("1", "2?"),
        (1,),
        f"{SOURCE} AspireAllVersions; loading fails",
        failed=(2,),
        policy="all { }",
    ),
    VersionCase(
        "the latest is empty",
        ("1", "2?"),
        (),
        f"{SOURCE} AspireLatestVersions; loading fails",
        failed=(2,),
    ),
]
