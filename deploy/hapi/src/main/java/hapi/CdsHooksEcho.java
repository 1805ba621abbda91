package hapi;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.hapi.fhir.cdshooks.api.json.CdsServiceFeedbackJson;
import ca.uhn.hapi.fhir.cdshooks.api.json.CdsServiceResponseJson;
import ca.uhn.hapi.fhir.cdshooks.api.json.CdsServicesJson;
import ca.uhn.hapi.fhir.cdshooks.module.CdsHooksObjectMapperFactory;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/**
 * What HAPI's own CDS Hooks classes make of messages of ours, for the tests: each line of the standard input is one
 * message in JSON; the line that comes back is the same message, read by HAPI and written again, or why it cannot be
 * read, after {@code fault: }. The only argument says what the messages are.
 */
public class CdsHooksEcho {

  private static final Map<String, Class<?>> KINDS = Map.of(
      "response", CdsServiceResponseJson.class,
      "discovery", CdsServicesJson.class,
      "feedback", CdsServiceFeedbackJson.class);

  public static void main(String[] arguments) throws IOException {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    System.setOut(System.err);  // what libraries say of themselves is no message
    ObjectMapper mapper = new CdsHooksObjectMapperFactory(FhirContext.forR4()).newMapper();
    // What HAPI does not know of it is to be refused, and not left out without a word.
    mapper.enable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);
    BufferedReader messages = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String message = messages.readLine(); message != null; message = messages.readLine()) {
      out.println(echo(mapper, message, KINDS.get(arguments[0])).replace("\n", " "));
    }
  }

  private static String echo(ObjectMapper mapper, String message, Class<?> kind) {
    try {
      return mapper.writeValueAsString(mapper.readValue(message, kind));
    } catch (IOException | RuntimeException refused) {
      return "fault: " + refused.getMessage();
    }
  }
}
