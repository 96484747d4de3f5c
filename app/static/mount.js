// Runs when Gradio has put the part on the page: fetch its module and let it draw. The address is
// absolute because Gradio evaluates this text, and browsers may resolve a relative import in
// evaluated text against another dashboard that was open in the same tab.
import(`${location.origin}/lab/static/${props.module}.js`)
  .then((module) => module.mount(element))
  .catch((error) => {
    element.textContent = `This part could not start: ${error.message}`;
    console.error(error);
  });
