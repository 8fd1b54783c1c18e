/** Node loads the modules of NODE_OPTIONS before those of its command line; the preload must come before all of them. */

/** Within double quotes Node takes a backslash for the character behind it. */
const loading = (preload: string): string => `--require "${preload.replace(/[\\"]/g, '\\$&')}" `;

/** The variables, with the module that the command line loads first loaded first by NODE_OPTIONS, where there are any. */
function withOursFirst(
	variables: Record<string, string>,
	[option, preload]: readonly string[] = [],
): Record<string, string> {
	const theirs = variables['NODE_OPTIONS'];
	if (theirs === undefined || option !== '--require' || preload === undefined) return variables;
	return { ...variables, NODE_OPTIONS: loading(preload) + theirs };
}

/** In the worker: leaves the app its own options, for itself and for what it starts. */
function forgetOurs(environment: NodeJS.ProcessEnv, preload: string): void {
	const options = environment['NODE_OPTIONS'];
	const ours = loading(preload);
	if (options?.startsWith(ours)) environment['NODE_OPTIONS'] = options.slice(ours.length);
}

export = { withOursFirst, forgetOurs };
