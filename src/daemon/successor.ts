import { spawn } from 'node:child_process';

/**
 * Without systemd a restarted daemon has nobody who starts it again, so it leaves a detached successor with the same
 * arguments and the environment that it was itself started with. Called as the very last act, after the lock is released.
 * Answers its process id; null if it could not be started.
 */
export function spawnSuccessor(environment: NodeJS.ProcessEnv): number | null {
	const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
		detached: true,
		stdio: 'inherit',
		env: environment,
	});
	child.unref();
	return child.pid ?? null;
}
