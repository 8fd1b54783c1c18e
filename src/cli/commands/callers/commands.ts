import type { Builder } from '../../program.js';

const roles = 'viewer (sees), operator (rolls and undoes, too, and reads logs) or super_user (all)';

/** Who may ask, and what was asked. */
export function addCallers(build: Builder): void {
	const users = build.group('user', 'people who may ask over the network');
	const usersModule = () => import('./users.js');
	users
		.add<{ role: string }>(
			'add <name>',
			'add one; the password is asked for, or the first line of standard input',
			['rollcall user add ann --role operator', 'rollcall user add ann --role viewer < password-file'],
			async (context, name) => (await usersModule()).add(context, name ?? ''),
		)
		.requiredOption('--role <role>', roles);
	const password = ['rollcall user password ann'];
	users.add('password <name>', 'give one a new password, which ends its tokens', password, async (context, name) =>
		(await usersModule()).setPassword(context, name ?? ''),
	);
	const tokens = build.group('token', 'API tokens, for jobs that are no persons');
	const tokensModule = () => import('./tokens.js');
	tokens
		.add<{ role: string; expiresIn?: string }>(
			'create <name>',
			'make one; it is printed once',
			['rollcall token create ci --role operator --expires-in 30d > ci.token'],
			async (context, name) => (await tokensModule()).create(context, name ?? ''),
		)
		.requiredOption('--role <role>', roles)
		.option('--expires-in <duration>', 'how long it is good: 1h, 30d (default: 90d; 366d at most)');
	tokens.add('list', 'which there are', ['rollcall token list'], async (context) =>
		(await tokensModule()).list(context),
	);
	tokens.add('drop <name>', 'end one at once', ['rollcall token drop ci'], async (context, name) =>
		(await tokensModule()).drop(context, name ?? ''),
	);
	build
		.add<{ lines: string }>(
			'audit',
			'the last changes: who, from where, what, and what came of it',
			['rollcall audit', 'rollcall audit -n 1000 --json'],
			async (context) => (await import('./audit.js')).audit(context),
		)
		.option('-n, --lines <number>', 'how many', '20');
}
