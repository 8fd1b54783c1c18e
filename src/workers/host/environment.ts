import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname } from 'node:path';

/** Names that a process needs to find programs, its user and its language; nothing else of an environment is handed on. */
const plainNames = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'LC_ALL', 'TZ'] as const;

type Environment = Record<string, string>;

/** The environment without variables that may hold a secret. */
export function plainEnvironment(from: NodeJS.ProcessEnv): Environment {
	const clean: Environment = {};
	for (const name of plainNames) {
		const value = from[name];
		if (value !== undefined && value !== '') clean[name] = value;
	}
	clean['PATH'] ??= `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`;
	clean['HOME'] ??= userInfo().homedir;
	return clean;
}

/** The same for a program that runs as another user: its home and name are that user's. */
export function plainEnvironmentOf(user: string | null, from: NodeJS.ProcessEnv): Environment {
	const clean = plainEnvironment(from);
	if (user === null || user === userInfo().username) return clean;
	const home = readFileSync('/etc/passwd', 'utf8')
		.split('\n')
		.map((line) => line.split(':'))
		.find(([name]) => name === user)?.[5];
	return { ...clean, USER: user, LOGNAME: user, HOME: home ?? '/' };
}

/**
 * The whole environment of a worker host. Every worker inherits it, so it holds nothing but PM2's switches: no agent, no
 * look for new versions, workers that accept by themselves, and SIGTERM as the signal that ends.
 */
export function hostEnvironment(home: string, from: NodeJS.ProcessEnv): Environment {
	return {
		...plainEnvironment(from),
		PM2_HOME: home,
		PM2_AGENT_ONLINE: '1',
		PM2_NO_INTERACTION: 'true',
		PM2_DISABLE_VERSION_CHECK: '1',
		PM2_KILL_SIGNAL: 'SIGTERM',
		NODE_CLUSTER_SCHED_POLICY: 'none',
	};
}
