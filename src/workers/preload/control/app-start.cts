/** PM2's word of an app that has done its start. */
const readyWord = 'ready';

interface AppStart {
	/** The app's script has begun; a CommonJS one has been run to its end. */
	onStarted(): void;
	/** The app has said `process.send('ready')`. */
	onReady(): void;
}

/** Looks on at an app's start, which happens some turns of the event loop after that of its process. */
function watch({ onStarted, onReady }: AppStart): void {
	const { send } = process;
	if (send !== undefined) {
		process.send = function (this: unknown, ...values: unknown[]): boolean {
			if (values[0] === readyWord) onReady();
			return Reflect.apply(send, process, values) as boolean;
		} as typeof send;
	}
	if (process.env['pm2_env'] === undefined) {
		onStarted();
		return;
	}
	// The last thing that PM2's container does before it runs the script, in the same turn.
	const heard = (event: string | symbol): void => {
		if (event !== 'unhandledRejection') return;
		process.removeListener('newListener', heard);
		setImmediate(onStarted);
	};
	process.on('newListener', heard);
}

export = { watch };
