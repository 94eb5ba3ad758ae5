"""The client with which people sign in at a command line: where their browser may return to."""

#: As the output ``login_redirects`` of ``terraform/modules/cognito``, whose comment says why these ports.
LOGIN_REDIRECTS = tuple(f"http://127.0.0.1:{port}/callback" for port in range(28711, 28716))
