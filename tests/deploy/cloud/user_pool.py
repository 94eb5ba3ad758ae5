"""A user pool as docs/contract.md wants it."""

from tests.deploy.cloud.inventory import REGION, client


def make_pool(url: str, name: str, region: str = REGION) -> dict[str, str]:
    """A pool with a resource server and a client that may ask for its scope; ``id``, ``arn`` and ``client``."""
    cognito = client("cognito-idp", url, region)
    made = cognito.create_user_pool(PoolName=name)["UserPool"]
    scopes = [{"ScopeName": "jobs", "ScopeDescription": "Send and read jobs"}]
    cognito.create_resource_server(UserPoolId=made["Id"], Identifier="lambda-router", Name="router", Scopes=scopes)
    caller = cognito.create_user_pool_client(
        UserPoolId=made["Id"],
        ClientName="caller",
        GenerateSecret=True,
        AllowedOAuthFlows=["client_credentials"],
        AllowedOAuthScopes=["lambda-router/jobs"],
        AllowedOAuthFlowsUserPoolClient=True,
    )["UserPoolClient"]["ClientId"]
    return {"id": made["Id"], "arn": made["Arn"], "client": caller}
