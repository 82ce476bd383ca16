"""Who may do what at a broker with SASL and ACLs."""

from contextlib import contextmanager

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from kafka.client import PATIENCE

USER = "callgate"
"""A user of the broker who may do nothing yet; see `kafka.broker.USERS`."""


def login(mechanism, user, password):
    """The properties of a client."""
    return {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism, "sasl.username": user,
            "sasl.password": password}


def acl(kind, prefix, user=USER, operation=AclOperation.ALL):
    """Everything, or one operation, on what has this prefix."""
    return AclBinding(kind, prefix, ResourcePatternType.PREFIXED, f"User:{user}", "*", operation,
                      AclPermissionType.ALLOW)


def allow(setup, *acls):
    for future in setup.admin.create_acls(list(acls)).values():
        future.result(PATIENCE)


def take_back(setup, binding):
    filter_ = AclBindingFilter(binding.restype, binding.name, binding.resource_pattern_type, binding.principal,
                               binding.host, binding.operation, binding.permission_type)
    for future in setup.admin.delete_acls([filter_]).values():
        future.result(PATIENCE)


@contextmanager
def forbidden(setup, name, kind=ResourceType.TOPIC, operation=AclOperation.WRITE):
    """One operation, by default writing to that topic, while the block lasts."""
    binding = AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", operation, AclPermissionType.DENY)
    allow(setup, binding)
    try:
        yield
    finally:
        take_back(setup, binding)


def create_user(setup, user, password, mechanism=ScramMechanism.SCRAM_SHA_256):
    """One who logs in by SCRAM."""
    upsertion = UserScramCredentialUpsertion(user, ScramCredentialInfo(mechanism, 4096), password.encode())
    for future in setup.admin.alter_user_scram_credentials([upsertion]).values():
        future.result(PATIENCE)
